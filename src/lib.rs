//! pushring

pub mod cli;
pub mod config;
