//! pushring
