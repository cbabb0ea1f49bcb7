//! The agent's session as a state machine: messages and time in, actions out; no IO, no runtime, no OS.
