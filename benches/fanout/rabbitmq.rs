//! RabbitMQ with its Web-STOMP plugin, where Debian's package has installed both: a node of its own, on loopback only, with
//! its data in the bench's own folder.

use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the package puts it. The script in front of it in `/usr/sbin` would change the user.
const HOME: &str = "/usr/lib/rabbitmq";
const PLUGIN: &str = "rabbitmq_web_stomp";

/// An installation.
#[derive(Debug, Clone)]
pub struct RabbitMq {
    /// The script that becomes the server.
    server: PathBuf,
    /// Such as `3.10.8`.
    pub version: String,
}

/// The addresses of a node's listeners.
#[derive(Debug, Clone, Copy)]
pub struct Listeners {
    /// Of Web-STOMP.
    pub web_stomp: SocketAddrV4,
    /// Of AMQP, which cannot be done without.
    pub amqp: SocketAddrV4,
    /// Of other nodes, of which there are none.
    pub nodes: SocketAddrV4,
    /// Of Erlang's port mapper.
    pub port_mapper: SocketAddrV4,
}

impl RabbitMq {
    /// What is installed, or one sentence why nothing can be measured.
    pub fn find() -> Result<Self, String> {
        let server = Path::new(HOME).join("bin/rabbitmq-server");
        if !server.exists() {
            return Err(format!(
                "there is no {} (Debian's package rabbitmq-server)",
                server.display()
            ));
        }
        let version = names(&Path::new(HOME).join("lib")).find_map(|name| {
            let version = name.strip_prefix("rabbitmq_server-")?;
            let plugins = Path::new(HOME).join("lib").join(&name).join("plugins");
            names(&plugins)
                .any(|plugin| plugin.starts_with(&format!("{PLUGIN}-")))
                .then(|| version.to_owned())
        });
        let version = version.ok_or_else(|| format!("{HOME} has no plugin {PLUGIN}"))?;
        Ok(Self { server, version })
    }

    /// Erlang's port mapper for one node, in the foreground. Without it the node would start one that outlives it.
    pub fn port_mapper(listeners: Listeners) -> Vec<String> {
        let address = listeners.port_mapper;
        let (port, ip) = (address.port().to_string(), address.ip().to_string());
        ["epmd", "-port", &port, "-address", &ip]
            .map(str::to_owned)
            .to_vec()
    }

    /// Lays out an empty node in `folder` and tells `command`, which is to run the [program](Self::program), about it.
    ///
    /// One scheduler, because it has one core, and it closes nobody who is idle, as subscribers are while the last of them
    /// connect; everything else is as RabbitMQ sets it.
    pub fn prepare(
        &self,
        folder: &Path,
        listeners: Listeners,
        command: &mut Command,
    ) -> io::Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let (config, plugins) = (folder.join("rabbitmq.conf"), folder.join("enabled_plugins"));
        let Listeners {
            web_stomp, amqp, ..
        } = listeners;
        let settings = format!(
            "listeners.tcp.1 = {amqp}\nstomp.listeners.tcp = none\nweb_stomp.tcp.ip = {}\nweb_stomp.tcp.port = {}\n\
             web_stomp.ws_opts.idle_timeout = 3600000\n",
            web_stomp.ip(),
            web_stomp.port()
        );
        fs::write(&config, settings)?;
        fs::write(&plugins, format!("[{PLUGIN}].\n"))?;
        let name = format!("pushring-bench-{}@localhost", web_stomp.port());
        let loopback = "-kernel inet_dist_use_interface {127,0,0,1}";
        command
            .env("HOME", folder)
            .env("ERL_EPMD_ADDRESS", listeners.port_mapper.ip().to_string())
            .env("ERL_EPMD_PORT", listeners.port_mapper.port().to_string())
            .env("RABBITMQ_NODENAME", name)
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", config)
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_NODE_PORT", amqp.port().to_string())
            .env("RABBITMQ_DIST_PORT", listeners.nodes.port().to_string())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!("+S 1:1 {loopback}"),
            )
            // The script becomes the server instead of being its parent, so that what is measured and ended is the server.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("RABBITMQ_SERVER_START_ARGS", "-noinput -start_epmd false");
        Ok(())
    }

    /// What to run.
    pub fn program(&self) -> &Path {
        &self.server
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}
