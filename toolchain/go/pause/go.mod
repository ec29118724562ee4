module compass-demo/toolchain/pause

go 1.26.5
