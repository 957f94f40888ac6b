//! What systemd's own tools say of the units.

use crate::machine::{INTO, Machine};

#[test]
fn systemd_finds_nothing_to_say_against_the_units() {
    let machine = Machine::boot();
    let [service, socket] = ["service", "socket"].map(|kind| format!("{INTO}/pushring.{kind}"));
    let output = machine.try_run(&["systemd-analyze", "verify", "--man=no", &service, &socket]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "", "not even a warning");
}

#[test]
fn the_service_is_exposed_to_at_most_2_0_of_10() {
    let machine = Machine::boot();
    let unit = format!("{INTO}/pushring.service");
    let said = machine.run(&[
        "systemd-analyze",
        "security",
        "--no-pager",
        "--offline=true",
        "--threshold=20",
        &unit,
    ]);
    let overall = said.lines().find(|line| line.contains("Overall exposure"));
    let overall = overall.unwrap();
    println!("{overall}");
    let level = overall
        .split(": ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let level: f32 = level.parse().unwrap();
    assert!(level <= 2.0, "{overall}");
}

#[test]
fn a_machine_that_has_ended_leaves_nothing_behind() {
    let machine = Machine::boot();
    machine.run(&["systemctl", "start", "pushring.service"]);
    let (init, stage) = (machine.init(), machine.stage());
    assert!(stage.is_dir() && init.is_dir());
    drop(machine);
    assert!(!stage.exists(), "{}", stage.display());
    assert!(!init.exists(), "{}", init.display());
}
