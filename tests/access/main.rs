//! Access: which tokens and API keys are taken, which are refused and what is said then.

mod algorithms;
mod api_keys;
mod claims;
mod command;
mod examples;
mod keys;
mod malformed;
mod properties;
mod rfc;
mod secrets;
mod settings;
mod support;
