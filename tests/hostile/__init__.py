"""What strangers may send: a corpus that grows with each find."""
