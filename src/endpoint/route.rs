//! Which path leads where.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::Endpoint;
use super::erased::Erased;
use super::event_stream::{self, Answer};
use super::page::Page;
use super::request::{Attributes, Request};
use crate::channel::NameError;
use crate::config::Config;
use crate::ws::deflate::Policy;
use crate::ws::handshake::{self, Head, OriginPatternError, Origins, Preference, Refusal, Upgrade};
use crate::ws::message::Limits;

/// Most routes and pages of one server.
const TARGETS_MAX: usize = u16::MAX as usize;

type Factory = Box<dyn Fn() -> Box<dyn Erased> + Send + Sync>;
type Interceptor = Box<dyn Fn(&Request<'_>, &mut Attributes) -> Result<(), Refusal> + Send + Sync>;

/// Leads from the paths of a pattern to an endpoint, past what is checked before.
///
/// ```
/// use pushring::endpoint::Route;
/// # use pushring::endpoint::{Context, Endpoint, Message, Request};
/// use pushring::ws::handshake::Refusal;
/// # #[derive(Default)]
/// # struct Chat;
/// # impl Endpoint for Chat {
/// #     type State = ();
/// #     fn open(&mut self, _: &Request<'_>, _: &mut Context<'_>) -> Result<(), Refusal> { Ok(()) }
/// #     fn message(&mut self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
/// # }
///
/// /// What the interceptor attaches and the endpoint finds in `Request::attributes`.
/// #[derive(Clone)]
/// struct User(String);
///
/// let route = Route::new("/chat/{room}", Chat::default)
///     .origins(["https://*.example.com"])
///     .subprotocols(["chat.v1"])
///     .intercept(|request, attributes| {
///         let user = request.header("X-User").ok_or_else(|| Refusal::new(401, "log in first"))?;
///         attributes.insert(User(String::from_utf8_lossy(user).into_owned()));
///         Ok(())
///     });
/// ```
pub struct Route {
    pattern: String,
    factory: Factory,
    origins: Option<Vec<String>>,
    missing_origin: Option<bool>,
    subprotocols: Vec<&'static str>,
    preference: Preference,
    message_bytes_max: Option<usize>,
    message_bytes_max_of: Option<fn(&Config) -> usize>,
    event_stream: bool,
    interceptor: Option<Interceptor>,
}

impl Route {
    /// Leads from a pattern to an endpoint.
    ///
    /// A pattern is a path in which `{name}` stands for one segment, or a part of one, and
    /// `{*name}` at the end for the whole rest, slashes included; the endpoint finds them in
    /// [`Request::parameter`]. The more definite pattern wins. The factory is called once on each
    /// shard's thread.
    pub fn new<E: Endpoint>(
        pattern: impl Into<String>,
        factory: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        Self {
            pattern: pattern.into(),
            factory: Box::new(move || Box::new(factory())),
            origins: None,
            missing_origin: None,
            subprotocols: Vec::new(),
            preference: Preference::Client,
            message_bytes_max: None,
            message_bytes_max_of: None,
            event_stream: false,
            interceptor: None,
        }
    }

    /// Which pages may connect: `*` (any), exact origins (`https://app.example.com`), or ones with
    /// `*` for a label or the port (`https://*.example.com:*`). Others are answered with 403.
    /// Without it the server's setting `origins.allowed` holds.
    pub fn origins<S: Into<String>>(mut self, patterns: impl IntoIterator<Item = S>) -> Self {
        self.origins = Some(patterns.into_iter().map(Into::into).collect());
        self
    }

    /// Whether a handshake without an `Origin` header is let in: no browser sends such a one.
    /// Without it the server's setting `origins.missing_allowed` holds.
    pub fn missing_origin(mut self, allowed: bool) -> Self {
        self.missing_origin = Some(allowed);
        self
    }

    /// The subprotocols that the endpoint speaks. The first of the client's list that is among
    /// them is agreed on; [`Request::subprotocol`] says which. A client that offers none of them
    /// is let in without.
    pub fn subprotocols(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.subprotocols = names.into_iter().collect();
        self
    }

    /// Whose order decides between subprotocols that both sides speak: the client's unless this
    /// says otherwise.
    pub fn preference(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    /// The longest message that a client may send here, in bytes; a longer one closes the connection
    /// with 1009. Without it the server's setting `limits.message_bytes_max` holds.
    pub fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.message_bytes_max = Some(bytes);
        self
    }

    /// What [`Route::message_bytes_max`] is with other settings, where it depends on those.
    pub(crate) fn message_bytes_max_of(mut self, of: fn(&Config) -> usize) -> Self {
        self.message_bytes_max_of = Some(of);
        self
    }

    /// Serves event streams at the same paths (Server-Sent Events; HTML Standard, section 9.2): to requests with
    /// `Accept: text/event-stream` that open no WebSocket.
    ///
    /// The endpoint's callbacks are the same; [`Request::is_event_stream`] and
    /// [`Context::is_event_stream`](super::Context::is_event_stream) tell. What is sent, and what is published to channels
    /// that the connection is subscribed to, reaches the client as events; the client itself can say nothing, so
    /// [`Endpoint::message`] is not called.
    pub fn event_stream(mut self) -> Self {
        self.event_stream = true;
        self
    }

    /// Looks at each handshake that is otherwise in order, before the endpoint does: lets it
    /// through, with attributes attached for [`Request::attributes`], or refuses it. Runs on the
    /// shards' threads and must not block.
    pub fn intercept(
        mut self,
        interceptor: impl Fn(&Request<'_>, &mut Attributes) -> Result<(), Refusal>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.interceptor = Some(Box::new(interceptor));
        self
    }
}

/// A route or a page that a server cannot have; the program's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A pattern that is none, or one that another one shadows.
    #[error("the path pattern {pattern:?} cannot be used: {reason}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An origin pattern that is none.
    #[error("the route {pattern:?}: {error}")]
    Origin {
        /// Of the route.
        pattern: String,
        /// Which and why.
        error: OriginPatternError,
    },
    /// More than can be numbered.
    #[error("{0} routes and pages are too many: at most {TARGETS_MAX}")]
    TooMany(usize),
}

/// All routes and pages of a server.
pub struct Routes {
    router: matchit::Router<Target>,
    routes: Vec<Prepared>,
    pages: Vec<Page>,
    not_found: &'static str,
}

#[derive(Clone, Copy)]
enum Target {
    Endpoint(u16),
    Page(u16),
}

/// A route with what depends on settings.
struct Prepared {
    origins: Origins,
    message_bytes_max: Option<usize>,
    route: Arc<Route>,
}

impl Prepared {
    /// With the origins that hold where a route does not say.
    fn new(
        route: Arc<Route>,
        message_bytes_max: Option<usize>,
        (allowed, missing_allowed): (&[String], bool),
    ) -> Result<Self, RouteError> {
        let allowed = route.origins.as_deref().unwrap_or(allowed);
        let missing_allowed = route.missing_origin.unwrap_or(missing_allowed);
        match Origins::parse(allowed, missing_allowed) {
            Ok(origins) => Ok(Self {
                origins,
                message_bytes_max,
                route,
            }),
            Err(error) => Err(RouteError::Origin {
                pattern: route.pattern.clone(),
                error,
            }),
        }
    }
}

/// Where a path leads.
pub enum Found<'a> {
    /// To the endpoint of that number.
    Endpoint(Destination<'a>),
    /// To a document.
    Page(&'a Page),
}

/// How a connection is to be opened.
pub enum Opening {
    /// As a WebSocket.
    WebSocket(Upgrade),
    /// As an event stream, or by an answer in its place.
    Http(Answer),
}

/// A path that leads to an endpoint.
pub struct Destination<'a> {
    /// The route's number.
    pub(crate) route: u16,
    prepared: &'a Prepared,
    parameters: Vec<(&'a str, Cow<'a, str>)>,
}

impl Routes {
    /// Puts routes and pages together. `origins` is what holds for routes that do not say,
    /// `not_found` the line for paths that lead nowhere.
    ///
    /// # Errors
    /// [`RouteError`].
    pub fn new(
        routes: Vec<Route>,
        pages: Vec<Page>,
        origins: (&[String], bool),
        not_found: &'static str,
    ) -> Result<Self, RouteError> {
        if routes.len() + pages.len() > TARGETS_MAX {
            return Err(RouteError::TooMany(routes.len() + pages.len()));
        }
        let mut router = matchit::Router::new();
        let targets =
            (routes.iter().zip(0..)).map(|(route, n)| (&route.pattern, Target::Endpoint(n)));
        let documents = (pages.iter().zip(0..)).map(|(page, n)| (&page.pattern, Target::Page(n)));
        for (pattern, target) in targets.chain(documents) {
            let inserted = router.insert(pattern, target);
            inserted.map_err(|error| RouteError::Pattern {
                pattern: pattern.clone(),
                reason: error.to_string(),
            })?;
        }
        let routes = routes
            .into_iter()
            .map(|route| {
                let message_bytes_max = route.message_bytes_max;
                Prepared::new(Arc::new(route), message_bytes_max, origins)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            router,
            routes,
            pages,
            not_found,
        })
    }

    /// The same routes and pages with other settings.
    ///
    /// # Errors
    /// [`RouteError::Origin`].
    pub(crate) fn renewed(&self, config: &Config) -> Result<Self, RouteError> {
        let origins = (&*config.origins.allowed, config.origins.missing_allowed);
        let routes = self.routes.iter().map(|Prepared { route, .. }| {
            let of_config = route.message_bytes_max_of.map(|of| of(config));
            let message_bytes_max = of_config.or(route.message_bytes_max);
            Prepared::new(route.clone(), message_bytes_max, origins)
        });
        Ok(Self {
            router: self.router.clone(),
            routes: routes.collect::<Result<_, _>>()?,
            pages: self.pages.clone(),
            not_found: self.not_found,
        })
    }

    /// Where a path leads, percent-encoded as it was sent.
    ///
    /// # Errors
    /// 404 for one that leads nowhere, 400 for one with parameters that cannot be decoded.
    pub fn find<'a>(&'a self, path: &'a str) -> Result<Found<'a>, Refusal> {
        let Ok(matched) = self.router.at(path) else {
            return Err(Refusal::new(404, self.not_found));
        };
        let route = match *matched.value {
            Target::Page(page) => return Ok(Found::Page(&self.pages[usize::from(page)])),
            Target::Endpoint(route) => route,
        };
        let parameters = matched
            .params
            .iter()
            .map(|(name, value)| Ok((name, handshake::percent_decode(value)?)))
            .collect::<Result<_, Refusal>>()?;
        Ok(Found::Endpoint(Destination {
            route,
            prepared: &self.routes[usize::from(route)],
            parameters,
        }))
    }

    /// Bounds of the messages of a route's clients.
    pub(crate) fn limits(&self, route: u16, general: Limits) -> Limits {
        let message_bytes_max = self.routes[usize::from(route)].message_bytes_max;
        Limits {
            message_bytes_max: message_bytes_max.unwrap_or(general.message_bytes_max),
        }
    }

    /// The patterns of all routes, by their numbers.
    pub fn patterns(&self) -> Vec<String> {
        let routes = self.routes.iter();
        routes
            .map(|prepared| prepared.route.pattern.clone())
            .collect()
    }

    /// One more instance of each endpoint.
    pub(super) fn instances(&self) -> impl Iterator<Item = Box<dyn Erased>> {
        self.routes
            .iter()
            .map(|prepared| (prepared.route.factory)())
    }
}

impl<'a> Destination<'a> {
    /// Checks the opening handshake (RFC 6455, section 4.2), or the request for an event stream where there are such, agrees to
    /// compression as the policy has it, and shows it to the interceptor.
    ///
    /// # Errors
    /// The refusal of the first who refuses.
    pub fn check(
        self,
        head: &'a Head<'a>,
        peer: IpAddr,
        deflate: Option<&Policy>,
    ) -> Result<(Opening, Request<'a>), Refusal> {
        let Prepared { origins, route, .. } = self.prepared;
        let streams = route.event_stream;
        let answer = streams.then(|| event_stream::negotiate(head, origins));
        let opening = match answer.flatten().transpose()? {
            Some(answer) => Opening::Http(answer),
            None => Opening::WebSocket(
                handshake::upgrade_preferring(
                    route.preference,
                    head,
                    origins,
                    &route.subprotocols,
                )?
                .negotiate_deflate(head, deflate)?,
            ),
        };
        let mut request = Request {
            head,
            parameters: self.parameters,
            peer,
            subprotocol: match &opening {
                Opening::WebSocket(upgrade) => upgrade.subprotocol,
                Opening::Http(_) => None,
            },
            event_stream: matches!(opening, Opening::Http(_)),
            attributes: Attributes::new(),
        };
        // Who asks for the options shows nothing of itself yet.
        let asks_options = matches!(opening, Opening::Http(Answer::Options(_)));
        if let Some(interceptor) = route.interceptor.as_ref().filter(|_| !asks_options) {
            let mut attributes = Attributes::new();
            let intercepted = interceptor(&request, &mut attributes);
            intercepted.map_err(|refusal| opening.allow(refusal))?;
            request.attributes = attributes;
        }
        Ok((opening, request))
    }
}

impl Opening {
    /// Lets the page that asks read a refusal, if its origin may.
    pub fn allow(&self, refusal: Refusal) -> Refusal {
        match self {
            Self::WebSocket(_) | Self::Http(Answer::Options(_)) => refusal,
            Self::Http(Answer::Stream(head) | Answer::Head(head)) => head.allow(refusal),
        }
    }
}

impl From<NameError> for Refusal {
    /// 400: a request that names no valid channel.
    fn from(error: NameError) -> Self {
        Self::new(400, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::endpoint::{Context, Message};

    struct Nothing;

    impl Endpoint for Nothing {
        type State = ();

        fn open(&mut self, _: &Request<'_>, _: &mut Context<'_>) -> Result<(), Refusal> {
            Ok(())
        }

        fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    }

    fn routes(patterns: &[&str]) -> Result<Routes, RouteError> {
        let routes = patterns
            .iter()
            .map(|&p| Route::new(p, || Nothing))
            .collect();
        Routes::new(routes, Vec::new(), (&[], true), "nothing")
    }

    fn found(routes: &Routes, path: &str) -> Result<(u16, Vec<(String, String)>), u16> {
        match routes.find(path) {
            Ok(Found::Endpoint(found)) => Ok((
                found.route,
                found
                    .parameters
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone().into_owned()))
                    .collect(),
            )),
            Ok(Found::Page(_)) => Err(200),
            Err(refusal) => Err(refusal.status()),
        }
    }

    fn named(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn h8_a_parameter_of_the_path_is_percent_decoded() {
        let routes = routes(&["/ws/{user_name}", "/sub/{*channel}"]).unwrap();
        for (path, expected) in [
            ("/ws/zhangsan", (0, named("user_name", "zhangsan"))),
            ("/ws/%E5%BC%A0%20%2F", (0, named("user_name", "张 /"))),
            ("/sub/a/b%2Fc", (1, named("channel", "a/b/c"))),
        ] {
            assert_eq!(found(&routes, path), Ok(expected), "{path}");
        }
        assert_eq!(found(&routes, "/ws/%zz"), Err(400));
        assert_eq!(found(&routes, "/ws/%ff"), Err(400));
    }

    #[test]
    fn h12_an_unknown_path_is_answered_with_404() {
        let routes = routes(&["/ws/{user_name}"]).unwrap();
        for path in ["/", "/ws", "/ws/", "/ws/a/b", "/wsx/a"] {
            assert_eq!(found(&routes, path), Err(404), "{path}");
        }
    }

    #[test]
    fn the_more_definite_pattern_wins() {
        let routes = routes(&["/{*rest}", "/ws/{user}", "/ws/admin"]).unwrap();
        for (path, route) in [("/ws/admin", 2), ("/ws/administrator", 1), ("/ws/a/b", 0)] {
            assert_eq!(
                found(&routes, path).map(|found| found.0),
                Ok(route),
                "{path}"
            );
        }
    }

    #[test]
    fn patterns_that_cannot_be_used_are_named() {
        for patterns in [
            &["/a/{x", "/b"][..],
            &["/a/{x}", "/a/{y}"],
            &["/{*all}/more"],
        ] {
            let error = routes(patterns).err().expect("an error");
            assert!(error.to_string().contains("\"/"), "{error}");
        }
        let route = Route::new("/a", || Nothing).origins(["nonsense"]);
        let error = Routes::new(vec![route], Vec::new(), (&[], true), "");
        assert!(matches!(error.err(), Some(RouteError::Origin { .. })));
    }

    #[test]
    fn a_page_is_fetched_with_get_or_its_head_alone() {
        let page = Page {
            pattern: "/".to_owned(),
            content_type: "text/html",
            body: Bytes::from_static(b"<p>"),
        };
        let fetch = |method| {
            let mut out = Vec::new();
            page.put_response(method, &mut out)
                .map(|()| String::from_utf8(out).expect("text"))
        };
        let get = fetch("GET").unwrap();
        assert!(
            get.contains("Content-Length: 3\r\n") && get.ends_with("\r\n\r\n<p>"),
            "{get}"
        );
        assert!(fetch("HEAD").unwrap().ends_with("\r\n\r\n"));
        assert_eq!(fetch("POST").unwrap_err().status(), 405);
    }
}
