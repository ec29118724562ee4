UPDATE acquirers SET response_ms = 400;
