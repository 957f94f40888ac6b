//! The configuration: loading it, refusing what is wrong, and the reference file.

mod loading;
mod properties;
mod reference;
mod refusals;
mod rules;
mod support;
