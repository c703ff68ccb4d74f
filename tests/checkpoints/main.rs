//! Checkpoints as people have them: the same model in every layout, and the ways in which one can be wrong.

#[path = "../support/mod.rs"]
mod support;

mod corpus;
mod files;
mod layouts;
mod models;
mod stored;
