//! A session that is saved at any byte and restored by another version of the program goes on as if nothing had been.

use proptest::sample::Index;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::world::{NAME, World, config};
use super::*;

/// What has come of input in those pieces, with or without an upgrade between any two of them.
fn run(pieces: &[&[u8]], refusal: Option<Refusal>, upgrades: bool) -> World {
    let mut world = World::new(Rules::default(), refusal);
    for piece in pieces {
        if upgrades {
            world.upgrade();
        }
        world.feed(piece);
    }
    if upgrades {
        world.upgrade();
    }
    world.act(|session, around| session.lose(around));
    world
}

fn assert_alike(one: &World, other: &World) {
    let text = |world: &World| String::from_utf8_lossy(&world.said).into_owned();
    assert_eq!(text(one), text(other));
    assert_eq!(one.said, other.said);
    assert_eq!(one.commands, other.commands);
    assert_eq!(
        (one.messages, one.refusals),
        (other.messages, other.refusals)
    );
}

/// Headers of a request that leads to an endpoint, and what is agreed on by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// No compression.
    Plain,
    /// Every message by itself.
    Deflating,
    /// Messages refer back to those before them.
    KeepingContext,
    /// An event stream.
    Stream,
}

impl Client {
    fn head(self, path: &str) -> Vec<u8> {
        let more = match self {
            Self::Stream => {
                return format!(
                    "GET {path} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
                )
                .into_bytes();
            }
            Self::Plain => "",
            Self::Deflating => {
                "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
            }
            Self::KeepingContext => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        };
        format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
        .into_bytes()
    }

    /// All that the client sends.
    fn input(self, path: &str, sayings: &[Saying]) -> Vec<u8> {
        let mut input = self.head(path);
        let mut deflate = deflate();
        for saying in sayings {
            match saying {
                Saying::Frame(frame) => input.extend(frame),
                Saying::Message(text, at) => {
                    let compressed = match self {
                        Self::Plain | Self::Stream => None,
                        Self::Deflating => Some(compress(&mut self::deflate(), text)),
                        Self::KeepingContext => Some(compress(&mut deflate, text)),
                    };
                    let rsv1 = if compressed.is_some() { 0x40 } else { 0 };
                    let payload = compressed.unwrap_or_else(|| text.clone().into_bytes());
                    let (first, last) = payload.split_at(at % (payload.len() + 1));
                    input.extend(masked(0x01 | rsv1, first));
                    input.extend(masked(0x89, b"between"));
                    input.extend(masked(0x80, last));
                }
            }
        }
        input
    }
}

/// What a client says.
#[derive(Clone, Debug)]
enum Saying {
    /// A frame as it is.
    Frame(Vec<u8>),
    /// A text in two fragments with a ping in between, compressed if that is agreed on.
    Message(String, usize),
}

fn deflate() -> Deflate {
    Deflate::new_with_config(DeflateConfig {
        window_bits: -15,
        ..DeflateConfig::default()
    })
}

/// RFC 7692, section 7.2.1; the empty text as section 7.2.3.6 has it, for zlib does not flush twice with nothing in between.
fn compress(deflate: &mut Deflate, text: &str) -> Vec<u8> {
    if text.is_empty() {
        return vec![0];
    }
    let mut out = vec![0; text.len() * 2 + 64];
    let before = deflate.total_out();
    let done = deflate.compress(text.as_bytes(), &mut out, DeflateFlush::SyncFlush);
    done.expect("room");
    out.truncate((deflate.total_out() - before) as usize);
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(len) if len < 126 => frame.push(0x80 | len),
        _ => {
            let len = u16::try_from(payload.len()).expect("a short message");
            frame.push(0x80 | 126);
            frame.extend(len.to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(
        payload
            .iter()
            .zip(KEY.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

fn sayings() -> impl Strategy<Value = Vec<Saying>> {
    let text = prop_oneof![
        "[a-zé€😀]{0,30}",
        Just("the same words again and again, which is what a context is for".to_owned()),
        "[ab]{200,400}",
    ];
    let frame = prop_oneof![
        8 => "[a-zé€😀]{0,20}".prop_map(|text| masked(0x81, text.as_bytes())),
        4 => prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| masked(0x82, &bytes)),
        2 => Just(masked(0x89, b"ping")),
        2 => Just(masked(0x8a, b"pong")),
        1 => Just(masked(0x01, b"left open")),
        1 => Just(masked(0x88, &[3, 232, b'b', b'y', b'e'])),
        1 => Just(masked(0x81, &[0xff])),
        1 => Just(masked(0xc1, b"not deflated")),
    ];
    let one = prop_oneof![
        2 => frame.prop_map(Saying::Frame),
        3 => (text, any::<usize>()).prop_map(|(text, at)| Saying::Message(text, at)),
    ];
    prop::collection::vec(one, 0..8)
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&[
        "/echo",
        "/counting/room",
        "/pub/news",
        "/sub/news",
        "/sub?channel=a&channel=b",
        "/connection/websocket",
        "/stomp",
        "/no/where",
    ])
}

fn client() -> impl Strategy<Value = Client> {
    prop::sample::select(&[
        Client::Plain,
        Client::Deflating,
        Client::KeepingContext,
        Client::Stream,
    ])
}

fn refusal() -> impl Strategy<Value = Option<Refusal>> {
    let full = Refusal::new(503, "full").with_retry_after(5);
    prop_oneof![9 => Just(None), 1 => Just(Some(full))]
}

fn cut<'a>(input: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len())).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|w| &input[w[0]..w[1]]).collect()
}

proptest! {
    #[test]
    fn a_session_that_is_saved_at_any_bytes_and_restored_does_what_one_does_that_is_left_alone(
        client in client(),
        path in path(),
        refusal in refusal(),
        sayings in sayings(),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let input = client.input(path, &sayings);
        let pieces = cut(&input, &cuts);
        let alone = run(&pieces, refusal.clone(), false);
        assert_alike(&run(&pieces, refusal.clone(), true), &alone);
        // What comes behind the request for a stream is counted by reads.
        if client != Client::Stream {
            assert_alike(&run(&[&input], refusal, false), &alone);
        }
    }

    #[test]
    fn what_is_damaged_is_refused_or_read_and_ends_nothing_but_its_connection(
        client in client(),
        path in path(),
        sayings in sayings(),
        at in any::<Index>(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        len in any::<Index>(),
        is_cut_short in any::<bool>(),
    ) {
        let input = client.input(path, &sayings);
        let (first, rest) = input.split_at(at.index(input.len()));
        let mut world = World::new(Rules::default(), None);
        world.feed(first);
        let mut saved = world.save().expect("an endpoint that saves");
        for (at, byte) in damage {
            let at = at.index(saved.len());
            saved[at] ^= byte;
        }
        if is_cut_short {
            saved.truncate(len.index(saved.len()));
        }
        if world.restore(&saved).is_ok() {
            world.feed(rest);
            world.act(|session, around| session.handle_timeout(Timeout::Deadline, around));
            world.act(|session, around| session.lose(around));
        }
    }
}

#[test]
fn every_byte_of_a_compressed_conversation_is_a_place_to_upgrade_at() {
    let text = "what is said once is said again: what is said once is said again";
    let sayings = [
        Saying::Message(text.to_owned(), 20),
        Saying::Frame(masked(0x82, &[7; 130])),
        Saying::Message(text.to_owned(), 20),
    ];
    for client in [Client::Plain, Client::Deflating, Client::KeepingContext] {
        let input = client.input("/counting/room", &sayings);
        let alone = run(&[&input], None, false);
        assert_eq!(alone.messages, 3);
        for at in 0..=input.len() {
            let (first, rest) = input.split_at(at);
            assert_alike(&run(&[first, rest], None, true), &alone);
        }
    }
}

#[test]
fn a_message_may_refer_to_what_was_said_before_the_upgrade() {
    let text = "words that are not said twice in the same message";
    let mut deflate = deflate();
    let first = compress(&mut deflate, text);
    let second = compress(&mut deflate, text);
    assert!(second.len() < first.len() / 2, "it refers to the first");
    let mut world = World::new(Rules::default(), None);
    world.feed(&Client::KeepingContext.head("/counting/room"));
    world.feed(&masked(0xc1, &first));
    world.upgrade();
    world.feed(&masked(0xc1, &second));
    assert_eq!((world.messages, world.refusals), (2, 0));
    let published = world.commands.iter().filter_map(|command| match command {
        Command::Publish { draft, ticket, .. } => Some((&draft.payload[..], *ticket)),
        _ => None,
    });
    let expected = [(text.as_bytes(), Some(0)), (text.as_bytes(), Some(1))];
    assert_eq!(published.collect::<Vec<_>>(), expected);
}

#[test]
fn an_endpoint_that_saves_nothing_is_left_out_and_a_request_head_is_not() {
    let mut world = World::new(Rules::default(), None);
    let head = Client::Plain.head("/forgetting");
    world.feed(&head[..20]);
    assert!(world.save().is_some() && world.session().is_in_handshake());
    world.upgrade();
    world.feed(&head[20..]);
    assert!(world.said.starts_with(b"HTTP/1.1 101 "));
    assert!(world.save().is_none());
    world.act(|session, around| session.lose(around));
    world.upgrade();
    assert!(world.session().is_over());
}

fn routes(patterns: &[&str]) -> Routes {
    let routes = patterns.iter().map(|pattern| match *pattern {
        "/forgetting" => Route::new(*pattern, || Recorder(CALLS.with(Rc::clone))),
        pattern => Route::new(pattern, || Saving),
    });
    let origins = (&["*".to_owned()][..], true);
    Routes::new(routes.collect(), Vec::new(), origins, "nothing").expect("routes")
}

/// Its state is where it is.
struct Saving;

impl Endpoint for Saving {
    type State = String;

    fn open(&mut self, request: &Request<'_>, _: &mut Context<'_>) -> Result<String, Refusal> {
        Ok(request.path().to_owned())
    }

    fn message(&mut self, path: &mut String, _: Message<'_>, context: &mut Context<'_>) {
        context.send_text(path);
    }

    fn save(&self, name: ConnectionName, path: &String) -> Option<Vec<u8>> {
        Some(format!("{name} {path}").into_bytes())
    }

    fn restore(&mut self, name: ConnectionName, saved: &[u8]) -> Option<String> {
        let saved = str::from_utf8(saved).ok()?;
        Some(saved.strip_prefix(&format!("{name} "))?.to_owned())
    }
}

/// A session at that path, as it was saved, with the patterns of its routes.
fn saved_at(path: &str, patterns: &[&str]) -> (SavedSession, Vec<String>) {
    let settings = Settings::with_routes(&config(), routes(patterns));
    let mut endpoints = Endpoints::new(&settings.routes);
    let mut session = Session::new(IpAddr::V4(Ipv4Addr::LOCALHOST), None);
    let (mut replies, mut commands) = (BytesMut::new(), Vec::new());
    let mut around = Surroundings {
        settings: &settings,
        rules: &Rules::default(),
        unix_ms: 0,
        is_behind: false,
        endpoints: &mut endpoints,
        codec: &mut Codec::new(settings.compression),
        name: NAME,
        replies: &mut replies,
        commands: &mut commands,
    };
    session.handle_input(&mut Client::Plain.head(path), &mut around);
    let saved = session
        .save(NAME, &endpoints)
        .expect("an endpoint that saves");
    (saved, settings.routes.patterns())
}

#[test]
fn a_route_is_found_by_its_pattern_and_one_that_is_gone_is_named() {
    let (saved, patterns) = saved_at("/b/1", &["/a", "/b/{x}"]);
    let restore = |now: &[&str]| {
        let routes = routes(now);
        let map = RouteMap::new(patterns.clone(), &routes);
        let mut endpoints = Endpoints::new(&routes);
        Session::restore(saved.clone(), NAME, &map, &mut endpoints).map(|session| {
            let again = session.save(NAME, &endpoints).expect("it saves still");
            format!("{again:?}")
        })
    };
    let moved = restore(&["/b/{x}", "/a", "/c"]).expect("it is there");
    assert!(moved.contains("route: 0"), "{moved}");
    let gone = restore(&["/a", "/b"]).expect_err("it is not there");
    let pattern = "/b/{x}".to_owned();
    assert_eq!(gone, RestoreError::RouteGone { pattern });
    assert!(gone.to_string().contains("\"/b/{x}\""), "{gone}");
}

#[test]
fn what_an_endpoint_does_not_understand_is_refused_by_its_name() {
    let (saved, patterns) = saved_at("/a", &["/a"]);
    let routes = routes(&["/a"]);
    let map = RouteMap::new(patterns, &routes);
    let another = ConnectionName { shard: 9, ..NAME };
    let restored = Session::restore(saved, another, &map, &mut Endpoints::new(&routes));
    let pattern = "/a".to_owned();
    assert_eq!(restored.err(), Some(RestoreError::Endpoint { pattern }));
}
