//! What whole-system tests are made of: the built programs, each test on a network of its own, and conditions with a
//! deadline instead of sleeps. Knows the product only by what its users see, and by its wire.

pub mod agent;
pub mod alertmanager;
pub mod book;
pub mod browser;
pub mod collector;
pub mod commander;
pub mod controller;
pub mod counted;
pub mod debian;
pub mod disk;
pub mod gate;
pub mod hostile;
pub mod keyring;
pub mod live_stream;
pub mod machine;
pub mod mishap;
pub mod neighbour;
pub mod openid;
pub mod operators;
pub mod peer;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod releases;
pub mod sink;
pub mod site;
pub mod stage;
pub mod wait;
pub mod wine;

pub use agent::AgentFolder;
pub use commander::Commander;
pub use controller::{Controller, Up};
pub use counted::CountedHook;
pub use debian::Debian;
pub use gate::Gate;
pub use machine::{Machine, on_own_network};
pub use mishap::{Fate, Mishap};
pub use neighbour::Neighbour;
pub use operators::{Operators, action_ended, action_in};
pub use peer::Peer;
pub use process::{Finished, Process, program};
pub use stage::Stage;
pub use wait::{SOON, STARTING, until};
pub use wine::Wine;
