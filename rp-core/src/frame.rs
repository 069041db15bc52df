//! From an Ethernet frame to a verdict.
