//! The configuration: loading it, refusing what is wrong, and the reference file.

mod auth;
mod loading;
mod namespaces;
mod properties;
mod reference;
mod refusals;
mod rules;
mod support;
