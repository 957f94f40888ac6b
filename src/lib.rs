//! pushring

pub mod config;
