"""Database incidents to switch on and off. None is here yet: the incidents issue brings them."""
