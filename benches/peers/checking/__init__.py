"""What `benches/peers/check` is made of. It shares no code with `pushring bench`, so that each checks the other's view."""
