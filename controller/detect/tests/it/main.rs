//! The detector against simulated hosts whose end is known.

mod causes;
mod churn;
mod courses;
mod days;
mod hygiene;
mod minutes;
mod simulation;
mod storms;
