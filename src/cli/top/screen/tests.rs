use super::*;
use crate::control::live::snapshot::Rates;

fn snapshot(shards: usize, channels: usize) -> Snapshot {
    let figures = Figures {
        connections: 1_200,
        backlogged: 2,
        rates: Some(Rates {
            deliveries: 54_321.0,
            turn_p99_us: Some(1_500),
            ..Rates::default()
        }),
        ..Figures::default()
    };
    let mut snapshot: Snapshot =
        serde_json::from_str(include_str!("../../../control/live/example.json")).unwrap();
    snapshot.total = figures.clone();
    snapshot.shards = vec![figures; shards];
    snapshot.channels.busiest = (0..channels)
        .map(|number| Channel {
            name: format!("channel-{number}-室温-{}", "x".repeat(80)),
            subscribers: number,
            behind: 0,
            publications: Some(1_000.0 - number as f64),
            owner: Some(0),
        })
        .collect();
    snapshot
}

#[test]
fn a_frame_has_just_the_size_of_its_terminal_whatever_that_is() {
    let snapshot = snapshot(64, 100);
    for style in [Style::Plain, Style::Marked, Style::Colored] {
        let mut screen = Screen::new(style);
        for _ in 0..200 {
            screen.note(&snapshot);
        }
        for (width, height) in [(1, 1), (20, 5), (40, 10), (80, 24), (120, 40), (300, 100)] {
            let lines = screen.frame(&snapshot, Some("gone"), width, height);
            assert_eq!(lines.len(), height, "{width} by {height}");
            for line in lines {
                assert!(
                    visible_width(&line) <= width,
                    "{width} by {height}: {line:?}"
                );
            }
        }
    }
}

#[test]
fn an_ordinary_terminal_shows_figures_shards_and_channels() {
    let frame = Screen::new(Style::Plain).frame(&snapshot(2, 30), None, 80, 24);
    let text = frame.join("\n");
    for shown in [
        "pushring",
        "live",
        "54,321",
        "1.5 ms",
        "shard ",
        "channel-0-",
        "channel-1-",
        "q ends",
    ] {
        assert!(text.contains(shown), "{shown} is not in\n{text}");
    }
    assert!(!text.contains('\x1b'));
}

#[test]
fn channels_are_sorted_by_what_was_asked_for() {
    let mut screen = Screen::new(Style::Plain);
    let snapshot = snapshot(1, 3);
    let first = |screen: &Screen| {
        let lines = screen.channels(&snapshot, 100, 1);
        lines[1].split('-').nth(1).unwrap().to_owned()
    };
    assert_eq!(first(&screen), "0");
    screen.order = screen.order.next();
    assert_eq!(first(&screen), "2");
    assert_eq!(screen.order.next().next(), Order::Publications);
}

#[test]
fn what_is_wrong_stands_in_the_title() {
    let screen = Screen::new(Style::Plain);
    let mut snapshot = snapshot(2, 0);
    assert!(screen.title(&snapshot, None).ends_with("live"));
    snapshot.server.draining = true;
    assert!(screen.title(&snapshot, None).ends_with("shutting down"));
    snapshot.shards[1].stuck_ms = 7_000;
    assert!(
        screen
            .title(&snapshot, None)
            .ends_with("shard 1 does not answer")
    );
    assert!(screen.title(&snapshot, Some("gone")).ends_with("gone"));
    assert!(
        screen
            .text(&snapshot)
            .iter()
            .any(|line| line.ends_with("no turn for 7 s"))
    );
}

#[test]
fn a_text_is_cut_at_its_width_and_keeps_its_style() {
    assert_eq!(cut("12345", 5), "12345");
    assert_eq!(cut("123456", 5), "1234…");
    assert_eq!(cut("室温室温", 5), "室温…");
    assert_eq!(cut("\x1b[1m123456\x1b[0m", 5), "\x1b[1m1234…\x1b[0m");
}
