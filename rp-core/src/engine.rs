//! The SET state machine.
