//! pushring pushes one published message to very many WebSocket connections on Linux.
//!
//! A server is made of shards, one for each core: one pinned thread that owns its connections and
//! shares nothing with the others but mailboxes. Read `ARCHITECTURE.md` for the map and
//! the invariants; the modules below are sorted by floors, and a floor uses only floors below it.

pub mod channel;
pub mod cli;
pub mod config;
pub mod control;
pub mod encoding;
pub mod endpoint;
pub mod metrics;
pub mod publication;
pub mod raw;
pub mod reactor;
pub mod server;
pub mod session;
pub mod shard;
pub mod table;
pub mod ws;
