//! One session with all that it works with, which a live upgrade may replace at any time.

use super::*;
use crate::endpoint::{centrifuge, raw, stomp};

/// What one version of the program is; both have the same routes, numbered otherwise.
struct Program {
    settings: Settings,
    endpoints: Endpoints,
    codec: Codec,
}

/// A session, who feeds it, and what has come of that.
pub struct World {
    program: Program,
    is_second: bool,
    session: Session,
    pub rules: Rules,
    pub unix_ms: u64,
    pub is_behind: bool,
    pub said: Vec<u8>,
    pub commands: Vec<Command>,
    pub messages: u32,
    pub refusals: u32,
}

pub const NAME: ConnectionName = ConnectionName {
    shard: 3,
    key: Key {
        slot: 7,
        generation: 2,
    },
};

pub fn config() -> Config {
    let mut config = Config::default();
    config.deflate.client_context = true;
    config.deflate.message_bytes_min = 16;
    config
}

impl Program {
    fn new(is_second: bool) -> Self {
        let config = config();
        let mut routes: Vec<Route> = raw::routes(true)
            .chain(stomp::routes(&config))
            .chain(centrifuge::routes(&config))
            .chain([
                Route::new("/counting/{room}", || Counting),
                Route::new("/forgetting", || Forgetting),
            ])
            .collect();
        if is_second {
            routes.reverse();
        }
        let origins = (&["*".to_owned()][..], true);
        let routes = Routes::new(routes, Vec::new(), origins, "nothing").expect("routes");
        let settings = Settings::with_routes(&config, routes);
        Self {
            endpoints: Endpoints::new(&settings.routes),
            codec: Codec::new(settings.compression),
            settings,
        }
    }
}

impl World {
    pub fn new(rules: Rules, refusal: Option<Refusal>) -> Self {
        Self {
            program: Program::new(false),
            is_second: false,
            session: Session::new(IpAddr::V4(Ipv4Addr::LOCALHOST), refusal),
            rules,
            unix_ms: 1_800_000_000_000,
            is_behind: false,
            said: Vec::new(),
            commands: Vec::new(),
            messages: 0,
            refusals: 0,
        }
    }

    /// Has something done with the session.
    pub fn act<T>(&mut self, work: impl FnOnce(&mut Session, &mut Surroundings<'_>) -> T) -> T {
        let mut replies = BytesMut::new();
        let mut around = Surroundings {
            settings: &self.program.settings,
            rules: &self.rules,
            unix_ms: self.unix_ms,
            is_behind: self.is_behind,
            endpoints: &mut self.program.endpoints,
            codec: &mut self.program.codec,
            name: NAME,
            replies: &mut replies,
            commands: &mut self.commands,
        };
        let done = work(&mut self.session, &mut around);
        self.said.extend_from_slice(&replies);
        done
    }

    pub fn feed(&mut self, input: &[u8]) {
        let mut input = input.to_vec();
        let progress = self.act(|session, around| session.handle_input(&mut input, around));
        self.messages += progress.messages;
        self.refusals += u32::from(progress.refused);
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What the session is saved as.
    pub fn save(&self) -> Option<Vec<u8>> {
        let saved = self.session.save(NAME, &self.program.endpoints)?;
        Some(postcard::to_allocvec(&saved).expect("values that can be written down"))
    }

    /// The other version takes over what this one has saved, and everything else is made anew.
    pub fn upgrade(&mut self) {
        let saved = self.save().expect("an endpoint that saves");
        self.restore(&saved).expect("what has been saved");
    }

    /// The other version takes over what is said to have been saved.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), String> {
        let saved = postcard::from_bytes(saved).map_err(|error| error.to_string())?;
        let patterns = self.program.settings.routes.patterns();
        let mut program = Program::new(!self.is_second);
        let map = RouteMap::new(patterns, &program.settings.routes);
        let session = Session::restore(saved, NAME, &map, &mut program.endpoints);
        self.session = session.map_err(|error| error.to_string())?;
        self.program = program;
        self.is_second = !self.is_second;
        Ok(())
    }
}

/// Knows how much its client has said, and says so to everybody when it goes.
struct Counting;

pub struct Counted {
    room: String,
    bytes: u32,
}

impl Endpoint for Counting {
    type State = Counted;

    fn open(
        &mut self,
        request: &Request<'_>,
        context: &mut Context<'_>,
    ) -> Result<Counted, Refusal> {
        let room = request.parameter("room").unwrap_or_default().to_owned();
        context.send_text(&room);
        Ok(Counted { room, bytes: 0 })
    }

    fn message(&mut self, counted: &mut Counted, message: Message<'_>, context: &mut Context<'_>) {
        counted.bytes += message.as_bytes().len() as u32;
        context.send_text(&format!("{} {message:?}", counted.bytes));
        let channel = ChannelName::parse("news").expect("a name");
        let ticket = context.publish_confirmed(&channel, message);
        context.send_text(&format!("ticket {ticket}"));
    }

    fn save(&self, _: ConnectionName, counted: &Counted) -> Option<Vec<u8>> {
        Some(format!("{} {}", counted.bytes, counted.room).into_bytes())
    }

    fn restore(&mut self, _: ConnectionName, saved: &[u8]) -> Option<Counted> {
        let (bytes, room) = str::from_utf8(saved).ok()?.split_once(' ')?;
        let (bytes, room) = (bytes.parse().ok()?, room.to_owned());
        Some(Counted { room, bytes })
    }

    fn close(&mut self, counted: Counted, closed: &Closed<'_>, publisher: &mut Publisher<'_>) {
        let Counted { room, bytes } = counted;
        let channel = ChannelName::parse("gone").expect("a name");
        publisher.publish(&channel, format!("{room} {bytes} {closed:?}"));
    }
}

/// Saves nothing.
struct Forgetting;

impl Endpoint for Forgetting {
    type State = ();

    fn open(&mut self, _: &Request<'_>, _: &mut Context<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}
}
