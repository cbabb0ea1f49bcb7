//! The API as its callers meet it: real HTTP against a whole controller.
