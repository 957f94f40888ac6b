//! From a scenario and a target to what the client needs to know.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use super::client::{Address, Around, Posts, Progress, Publishing, Settings, Sign, Way};
use super::handshake::Request;
use super::payload::{Embedding, Form};
use super::protocol::{Dialect, Protocol};
use super::scenario::Scenario;
use super::target::{PublishWay, Target, Values, fill};

/// The longest message that servers are asked to allow, at least.
const MESSAGE_BYTES_MAX_MIN: usize = 65_536;

/// The values that a scenario gives to placeholders.
pub fn scenario_values(scenario: &Scenario, values: &mut Values) {
    values.set("connections", scenario.connections() + 100);
    values.set("deflate", scenario.deflate);
    // What a protocol puts around a payload is little beside it.
    let message_bytes = scenario.payload_bytes + 1_024;
    values.set(
        "message_bytes_max",
        message_bytes.max(MESSAGE_BYTES_MAX_MIN),
    );
}

/// Why a target is left out of a scenario, if it must be.
pub fn unsuitable(scenario: &Scenario, target: &Target) -> Option<String> {
    let several = scenario.channels_each > 1
        && target.protocol == Protocol::Raw
        && target.subscribe.several.is_none();
    if several {
        return Some("it has no way to put one connection on several channels".to_owned());
    }
    (target.publish.is_none() && needs_publisher(scenario))
        .then(|| "nothing says how to publish to it; give --publish with an address".to_owned())
}

/// Whether anything is published; connections can be opened without.
fn needs_publisher(scenario: &Scenario) -> bool {
    !matches!(
        scenario.kind,
        super::scenario::Kind::Connect | super::scenario::Kind::Idle
    )
}

/// The client's settings for a server that runs.
///
/// # Errors
/// One sentence, for an address that is none.
pub fn client_settings(
    scenario: &Scenario,
    target: &Target,
    values: &Values,
    cores: &[usize],
) -> Result<Settings, String> {
    let run = run_id();
    let names: Vec<String> = (0..scenario.channels)
        .map(|number| format!("c{number}"))
        .collect();
    let form = |embedding| Form::new(scenario.payload, scenario.payload_bytes, run, embedding);
    let subscribe = &target.subscribe;
    let server = match &target.running {
        Some(_) => Address::parse(&target.name)?.socket,
        None => {
            let port = values.fill(subscribe.port.as_deref().unwrap_or("{port}"));
            let port: u16 = port
                .parse()
                .map_err(|_| format!("{}: [subscribe] port {port:?} is no port", target.name))?;
            SocketAddr::from((Ipv4Addr::LOCALHOST, port))
        }
    };
    let subprotocol = match &subscribe.subprotocol {
        Some(own) => Some(own.clone()).filter(|own| !own.is_empty()),
        None => target.protocol.subprotocol().map(str::to_owned),
    };
    let request = Request {
        host: server.to_string(),
        subprotocol,
        headers: subscribe
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), values.fill(value)))
            .collect(),
        deflate: scenario.deflate,
    };
    let commands = names
        .iter()
        .map(|name| channel(&values.fill(&subscribe.channel), name))
        .collect();
    let dialect = Dialect::new(
        target.protocol,
        target.credentials(),
        commands,
        form(target.protocol.embedding()),
    );
    let publishing = match &target.publish {
        None => None,
        Some(_) => Some(publishing(
            scenario, target, values, &request, server, &names, form,
        )?),
    };
    Ok(Settings {
        server,
        request,
        paths: paths(scenario, target, values, &names),
        dialect,
        publishing,
        plan: scenario.plan(),
        stalled_permille: scenario.stalled_permille,
        cores: cores.to_vec(),
    })
}

fn publishing(
    scenario: &Scenario,
    target: &Target,
    values: &Values,
    request: &Request,
    server: SocketAddr,
    names: &[String],
    form: impl Fn(Embedding) -> Form,
) -> Result<Publishing, String> {
    let Some(publish) = &target.publish else {
        return Err("nothing says how to publish".to_owned());
    };
    let url = publish.url.as_deref().unwrap_or_default();
    if publish.way == PublishWay::Protocol {
        return Ok(Publishing {
            server,
            request: Request {
                deflate: false,
                ..request.clone()
            },
            way: Way::Protocol {
                path: channel(&values.fill(&target.subscribe.path), &names[0]),
            },
            form: form(target.protocol.embedding()),
        });
    }
    let address = Address::parse(&values.fill(url))?;
    let paths: Vec<String> = match address.path.contains("{channel}") {
        true => names
            .iter()
            .map(|name| channel(&address.path, name))
            .collect(),
        false => vec![address.path.clone()],
    };
    // A JSON value takes the place of the quotes too.
    let quoted = "\"{payload}\"";
    let in_json = target.protocol.embedding() != Embedding::Plain && publish.body.contains(quoted);
    let (placeholder, embedding) = match in_json {
        true => (quoted, target.protocol.embedding()),
        false => ("{payload}", Embedding::Plain),
    };
    let (before, after) = publish.body.split_once(placeholder).unwrap_or_default();
    let around = names.iter().map(|name| Around {
        before: channel(&values.fill(before), name),
        after: channel(&values.fill(after), name),
    });
    let around = around.take(scenario.channels as usize).collect();
    let way = match publish.way {
        PublishWay::Http => {
            let mut headers: Vec<(String, String)> = publish
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), values.fill(value)))
                .collect();
            if let Some(content_type) = &publish.content_type {
                headers.push(("Content-Type".to_owned(), content_type.clone()));
            }
            Way::Http(Box::new(Posts {
                host: address.host.clone(),
                paths,
                around,
                headers,
                pipelined: publish.pipelined,
                sign: publish.sign.as_ref().map(|sign| Sign {
                    key: sign.key.clone(),
                    secret: sign.secret.clone(),
                }),
                progress: Progress::default(),
            }))
        }
        _ => Way::WebSocket { paths, around },
    };
    Ok(Publishing {
        server: address.socket,
        request: Request {
            host: address.host,
            subprotocol: None,
            deflate: false,
            headers: request.headers.clone(),
        },
        way,
        form: form(embedding),
    })
}

/// The path of each subscriber, by the number of its first channel.
fn paths(scenario: &Scenario, target: &Target, values: &Values, names: &[String]) -> Vec<String> {
    let subscribe = &target.subscribe;
    let plan = scenario.plan();
    let path_of = |first: u32| match &subscribe.several {
        Some(several) if plan.each > 1 => {
            let each: Vec<String> = plan
                .channels_of(first)
                .into_iter()
                .map(|number| channel(&several.each, &names[number as usize]))
                .collect();
            let all = each.join(&several.join);
            fill(&values.fill(&several.path), |name| {
                (name == "channels").then_some(&all)
            })
        }
        _ => channel(&values.fill(&subscribe.path), &names[first as usize]),
    };
    (0..plan.all).map(path_of).collect()
}

fn channel(text: &str, name: &str) -> String {
    fill(text, |word| (word == "channel").then_some(name))
}

/// A number that tells the payloads of one run from those of all others.
fn run_id() -> u32 {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    now.subsec_nanos()
        .wrapping_mul(0x9e37_79b9)
        .wrapping_add(now.as_secs() as u32)
        .wrapping_add(std::process::id() << 8)
        .wrapping_add(run)
}
