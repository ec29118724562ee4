UPDATE acquirers SET response_ms = 4 + 2 * id WHERE response_ms <> 4 + 2 * id;
