//! Who is there, who comes and goes, and what was.

use serde_json::json;

use super::clients::client::{Kind, Site};

const SHOWS: &str = "[[namespace]]\nchannels = \"*\"\npresence = true\njoin_leave = true\nhistory_size = 5\nhistory_ttl = \"10m\"\n";

pub fn it_is_asked_who_is_there(kind: Kind) {
    let mut site = Site::start_with(kind, SHOWS);
    let room = json!({ "channel": "room" });
    let mut names = Vec::new();
    for id in ["a", "b", "c"] {
        names.push(site.connect(id)["client"].as_str().unwrap().to_owned());
        site.subscribe(id, "room");
    }
    let presence = site.ask("presence", "a", room.clone());
    let present = presence["clients"].as_object().unwrap();
    assert_eq!(present.len(), 3, "{presence}");
    for name in &names {
        assert_eq!(present[name], json!({ "client": name, "user": "" }));
    }
    let stats = site.ask("presence_stats", "a", room.clone());
    assert_eq!(
        (&stats["num_clients"], &stats["num_users"]),
        (&json!(3), &json!(1))
    );
    site.tell("disconnect", "c", json!({}));
    // Whoever is told of the leave asks behind it.
    while site.take("a", "leave")["info"]["client"] != *names[2] {}
    assert_eq!(site.ask("presence_stats", "a", room)["num_clients"], 2);
}

pub fn it_is_told_who_comes_and_goes(kind: Kind) {
    let mut site = Site::start_with(kind, SHOWS);
    site.connect("watcher");
    site.subscribe("watcher", "room");
    for _ in 0..3 {
        site.tell(
            "connect",
            "guest",
            json!({ "url": site.server.url("/connection/websocket") }),
        );
        let name = site.take("guest", "connected")["client"].clone();
        if site.untaken("guest").contains(&"subscribed".to_owned()) {
            site.take("guest", "subscribed");
        } else {
            site.subscribe("guest", "room");
        }
        while site.take_of("watcher", "join", "room")["info"]["client"] != name {}
        site.tell("disconnect", "guest", json!({}));
        let left = site.take_of("watcher", "leave", "room");
        assert_eq!(left["info"], json!({ "client": name, "user": "" }));
    }
}

pub fn history_is_read_in_pages(kind: Kind) {
    let mut site = Site::start_with(kind, SHOWS);
    for number in 1..=7 {
        site.server.http().publish("news", number.to_string());
    }
    site.connect("one");
    let mut page = |options: serde_json::Value| {
        let history = site.ask(
            "history",
            "one",
            json!({ "channel": "news", "options": options }),
        );
        assert_eq!(history["offset"], 7, "{history}");
        let publications = history["publications"].as_array().unwrap();
        let numbers: Vec<u64> = (publications.iter())
            .map(|publication| {
                assert_eq!(publication["data"], publication["offset"]);
                publication["offset"].as_u64().unwrap()
            })
            .collect();
        (numbers, history["epoch"].clone())
    };
    assert_eq!(page(json!({ "limit": 100 })).0, [3, 4, 5, 6, 7]);
    assert_eq!(page(json!({ "limit": 2, "reverse": true })).0, [7, 6]);
    let (none, epoch) = page(json!({ "limit": 0 }));
    assert_eq!(none, [0; 0]);
    let since = json!({ "offset": 4, "epoch": epoch });
    assert_eq!(page(json!({ "limit": 2, "since": since })).0, [5, 6]);
    let since = json!({ "offset": 4, "epoch": "another" });
    let options = json!({ "limit": 2, "since": since });
    let refused = site.refused(
        "history",
        "one",
        json!({ "channel": "news", "options": options }),
    );
    assert_eq!(refused, 112);
}
