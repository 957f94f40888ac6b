//! `tuning/affinity` on a made-up machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{file, folder, printed, run};

/// A tree of /sys and /proc.
struct Machine {
    root: PathBuf,
}

impl Machine {
    fn new(name: &str, online: &str) -> Self {
        let machine = Self {
            root: folder(&format!("affinity-{name}")),
        };
        machine.put("sys/devices/system/cpu/online", online);
        machine.put("proc/1/comm", "systemd");
        machine.put("proc/interrupts", "           CPU0       CPU1");
        machine
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    fn interrupt(&self, number: u32, name: &str) {
        let table = self.root.join("proc/interrupts");
        let line =
            format!(" {number}:        12          0 PCI-MSIX-0000:00:03.0   0-edge      {name}\n");
        fs::write(&table, fs::read_to_string(&table).unwrap() + &line).unwrap();
        self.put(&format!("proc/irq/{number}/smp_affinity_list"), "0-3");
    }

    /// A network card with an interrupt for each queue, and one for its state.
    fn card(&self, name: &str, queues: usize, first: u32) {
        let interface = format!("sys/class/net/{name}");
        for queue in 0..queues {
            self.put(&format!("{interface}/queues/rx-{queue}/rps_cpus"), "0");
            let mask = "00000000,0000000f";
            self.put(&format!("{interface}/queues/tx-{queue}/xps_cpus"), mask);
            let number = first + 1 + queue as u32;
            self.put(&format!("{interface}/device/msi_irqs/{number}"), "msix");
            self.interrupt(number, &format!("{name}-TxRx-{queue}"));
        }
        self.put(&format!("{interface}/device/msi_irqs/{first}"), "msix");
        self.interrupt(first, &format!("{name}:misc"));
    }

    /// A virtual card with one queue, whose interrupts are found one folder up and whose driver has no XPS.
    fn virtual_card(&self, name: &str, first: u32) {
        let device = self.root.join("sys/devices/pci0/virtio2");
        fs::create_dir_all(&device).unwrap();
        for (number, what) in (first..).zip(["config", "input.0", "output.0"]) {
            self.put(&format!("sys/devices/pci0/msi_irqs/{number}"), "msix");
            self.interrupt(number, &format!("virtio2-{what}"));
        }
        let interface = format!("sys/class/net/{name}");
        self.put(&format!("{interface}/queues/rx-0/rps_cpus"), "0");
        fs::create_dir_all(self.root.join(&interface).join("queues/tx-0")).unwrap();
        symlink(device, self.root.join(&interface).join("device")).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(file("tuning/affinity"));
        run(command.arg("--root").arg(&self.root).args(arguments))
    }

    /// What a run prints that must succeed without a complaint, paths without the root.
    fn printed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        assert_eq!(complaint, "", "{arguments:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.replace(self.root.to_str().unwrap(), "")
    }

    /// The one line with which it refuses.
    fn refusal(&self, arguments: &[&str]) -> String {
        let before = self.files();
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert_eq!(self.files(), before, "{arguments:?}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    }

    fn at(&self, path: &str) -> String {
        let text = fs::read_to_string(self.root.join(path)).unwrap();
        text.trim_end().to_owned()
    }

    /// Every file there is, with its text.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        collect(&self.root, &mut files);
        files
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), files);
        } else if entry.file_type().unwrap().is_file() {
            files.insert(entry.path(), fs::read_to_string(entry.path()).unwrap());
        }
    }
}

const QUEUES: &str = "sys/class/net/eth0/queues";

#[test]
fn it_prints_each_change_and_makes_none_before_it_is_told_to() {
    let machine = Machine::new("dry", "0-3");
    machine.card("eth0", 4, 40);
    let before = machine.files();
    assert_eq!(
        machine.printed(&["eth0"]),
        "/proc/irq/41/smp_affinity_list: 0-3 -> 0\n\
         /proc/irq/42/smp_affinity_list: 0-3 -> 1\n\
         /proc/irq/43/smp_affinity_list: 0-3 -> 2\n\
         /proc/irq/44/smp_affinity_list: 0-3 -> 3\n\
         /sys/class/net/eth0/queues/tx-0/xps_cpus: 00000000,0000000f -> 1\n\
         /sys/class/net/eth0/queues/tx-1/xps_cpus: 00000000,0000000f -> 2\n\
         /sys/class/net/eth0/queues/tx-2/xps_cpus: 00000000,0000000f -> 4\n\
         /sys/class/net/eth0/queues/tx-3/xps_cpus: 00000000,0000000f -> 8\n\
         8 changes; --apply makes them\n"
    );
    assert_eq!(machine.files(), before);
}

#[test]
fn interrupts_and_received_packets_stay_off_the_cores_of_the_shards() {
    let machine = Machine::new("off", "0-7");
    machine.card("eth0", 1, 40);
    machine.card("eth1", 4, 50);
    let arguments = ["--interrupts", "0,2", "--shards", "1,3-7", "--apply"];
    let said = machine.printed(&[&arguments[..], &["eth0", "eth1"]].concat());
    assert!(said.ends_with("CPUAffinity=1 3 4 5 6 7 in the unit, or taskset -c 1,3,4,5,6,7\n"));
    // One queue for two cores: both take their part. Its one queue for sending is left alone.
    assert_eq!(machine.at("proc/irq/41/smp_affinity_list"), "0");
    assert_eq!(machine.at(&format!("{QUEUES}/rx-0/rps_cpus")), "5");
    let xps = machine.at(&format!("{QUEUES}/tx-0/xps_cpus"));
    assert_eq!(xps, "00000000,0000000f");
    // Four queues for two cores.
    for (number, core) in [(51, "0"), (52, "2"), (53, "0"), (54, "2")] {
        let list = machine.at(&format!("proc/irq/{number}/smp_affinity_list"));
        assert_eq!(list, core, "{number}");
    }
    // Whatever is no queue's stays where it was.
    assert_eq!(machine.at("proc/irq/40/smp_affinity_list"), "0-3");
    assert_eq!(machine.at("proc/irq/50/smp_affinity_list"), "0-3");
    // Eight cores for four queues: each core sends by one.
    let masks: Vec<String> = (0..4)
        .map(|queue| machine.at(&format!("sys/class/net/eth1/queues/tx-{queue}/xps_cpus")))
        .collect();
    assert_eq!(masks, ["11", "22", "44", "88"]);
}

#[test]
fn both_interrupts_of_a_virtual_queue_go_to_one_core() {
    let machine = Machine::new("virtual", "0-1");
    machine.virtual_card("ens4", 20);
    assert_eq!(
        machine.printed(&["ens4"]),
        "/proc/irq/21/smp_affinity_list: 0-3 -> 0\n\
         /proc/irq/22/smp_affinity_list: 0-3 -> 0\n\
         /sys/class/net/ens4/queues/rx-0/rps_cpus: 0 -> 3\n\
         3 changes; --apply makes them\n"
    );
}

#[test]
fn cores_above_31_are_written_in_words_of_32_bits() {
    let machine = Machine::new("many", "0-95");
    machine.card("eth0", 2, 40);
    machine.printed(&["--interrupts", "0,33,64", "--apply", "eth0"]);
    let rps = machine.at(&format!("{QUEUES}/rx-0/rps_cpus"));
    assert_eq!(rps, "1,00000002,00000001");
    let xps = machine.at(&format!("{QUEUES}/tx-1/xps_cpus"));
    assert_eq!(xps, "aaaaaaaa,aaaaaaaa,aaaaaaaa");
}

#[test]
fn more_queues_than_cores_leave_each_core_several_to_send_by() {
    let machine = Machine::new("queues", "0-1");
    machine.card("eth0", 4, 40);
    machine.printed(&["--apply", "eth0"]);
    let masks: Vec<String> = (0..4)
        .map(|queue| machine.at(&format!("{QUEUES}/tx-{queue}/xps_cpus")))
        .collect();
    assert_eq!(masks, ["1", "2", "1", "2"]);
}

#[test]
fn undo_restores_every_byte_that_was_there_before_the_first_change() {
    let machine = Machine::new("undo", "0-7");
    machine.card("eth0", 4, 40);
    machine.virtual_card("ens4", 60);
    let before = machine.files();
    machine.printed(&["--apply", "eth0"]);
    machine.printed(&[
        "--interrupts",
        "7",
        "--shards",
        "0-6",
        "--apply",
        "eth0",
        "ens4",
    ]);
    let changed = machine.files();
    assert_ne!(changed, before);
    assert!(changed.contains_key(&machine.root.join("run/pushring-affinity")));
    let said = machine.printed(&["--undo"]);
    assert!(
        said.contains("/proc/irq/41/smp_affinity_list: 7 -> 0-3\n"),
        "{said}"
    );
    assert_eq!(machine.files(), before);
    assert!(machine.refusal(&["--undo"]).contains("nothing to undo"));
}

#[test]
fn what_is_so_already_is_not_changed_again() {
    let machine = Machine::new("again", "0-3");
    machine.card("eth0", 4, 40);
    machine.printed(&["--apply", "eth0"]);
    // As the kernel prints what it was given.
    machine.put(&format!("{QUEUES}/tx-1/xps_cpus"), "00000000,00000002");
    let before = machine.files();
    assert_eq!(machine.printed(&["--apply", "eth0"]), "nothing to change\n");
    assert_eq!(machine.files(), before);
}

#[test]
fn a_list_of_cores_is_compared_as_it_stands() {
    let machine = Machine::new("list", "0-3");
    machine.card("eth0", 1, 40);
    machine.put("proc/irq/41/smp_affinity_list", "0,2");
    machine.printed(&["--interrupts", "2", "--apply", "eth0"]);
    assert_eq!(machine.at("proc/irq/41/smp_affinity_list"), "2");
}

#[test]
fn what_cannot_be_is_refused_in_one_line_and_nothing_is_changed() {
    let machine = Machine::new("refused", "0-3");
    machine.card("eth0", 2, 40);
    for (arguments, part) in [
        (
            &["--apply", "eth7"][..],
            "there is no interface eth7; there are: eth0",
        ),
        (&["--apply", "eth0", "eth7"], "there is no interface eth7"),
        (&["--apply", "../net/eth0"], "is no name of an interface"),
        (&["--apply"], "which interface? There are: eth0"),
        (
            &["--apply", "--interrupts", "9", "eth0"],
            "core 9 is not online: there are 0-3",
        ),
        (
            &["--apply", "--shards", "1-", "eth0"],
            "is no list of cores",
        ),
        (
            &["--apply", "--interrupts", "3-1", "eth0"],
            "is no list of cores",
        ),
        (&["--interrupts"], "--interrupts needs a value"),
        (&["--appply", "eth0"], "there is no option --appply"),
        (&["--apply", "--undo"], "give one of them"),
        (&["--undo", "eth0"], "give no interface"),
    ] {
        let line = machine.refusal(arguments);
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
}

#[test]
fn it_says_that_irqbalance_would_work_against_it() {
    let machine = Machine::new("irqbalance", "0-3");
    machine.card("eth0", 2, 40);
    machine.put("proc/712/comm", "irqbalance");
    let output = machine.run(&["eth0"]);
    assert!(output.status.success());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("irqbalance runs"), "{complaint}");
}

/// As an interrupt that is the kernel's own to place is met: the file can be read and not be written.
#[test]
fn what_cannot_be_changed_is_named_and_the_rest_is_changed() {
    let machine = Machine::new("unwritable", "0-3");
    machine.card("eth0", 4, 40);
    let before = machine.files();
    let stubborn = machine.root.join("proc/irq/41/smp_affinity_list");
    let script = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@""#;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&stubborn)
        .arg(file("tuning/affinity"))
        .arg("--root")
        .arg(&machine.root)
        .args(["--apply", "eth0"]);
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(
        complaint.contains("irq/41/smp_affinity_list cannot be changed"),
        "{complaint}"
    );
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert_eq!(machine.at("proc/irq/42/smp_affinity_list"), "1");
    machine.printed(&["--undo"]);
    assert_eq!(machine.files(), before);
}

#[test]
fn the_scripts_of_tuning_are_clean_to_shellcheck() {
    printed(Command::new("shellcheck").arg(file("tuning/affinity")));
}
