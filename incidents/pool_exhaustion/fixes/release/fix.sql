UPDATE acquirers SET capture_ms = 0 WHERE capture_ms > 0;
