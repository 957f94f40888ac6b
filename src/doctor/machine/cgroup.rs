//! What control groups allow a process: those of version 2, and those of version 1 that are left.

use super::tree::Tree;

/// The tightest bounds of a process's control group and of all around it, cgroups(7).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cgroup {
    /// Memory in bytes beyond which the kernel ends the process, or has it wait.
    pub memory: Option<Bound>,
    /// CPU time in thousandths of a core.
    pub cpu: Option<Bound>,
    /// Over how many microseconds the CPU time is counted.
    pub cpu_period_us: Option<u64>,
    /// Threads that there is still room for.
    pub threads: Option<Bound>,
}

/// A bound, and where it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// How much.
    pub value: u64,
    /// The file in which it stands.
    pub place: String,
}

/// What version 1 says for "none": more than any machine has.
const NO_BOUND: u64 = 1 << 60;

impl Cgroup {
    /// Reads the groups of the process with this number, or of `self`.
    pub(super) fn read(tree: &Tree, process: &str) -> Self {
        let text = tree
            .text(&format!("proc/{process}/cgroup"))
            .unwrap_or_default();
        let mut cgroup = Self::default();
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            if controllers.is_empty() {
                cgroup.read_version_2(tree, path);
            } else {
                cgroup.read_version_1(tree, controllers, path);
            }
        }
        cgroup
    }

    fn read_version_2(&mut self, tree: &Tree, path: &str) {
        let root = ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
            .into_iter()
            .find(|root| tree.path(&format!("{root}/cgroup.controllers")).exists());
        let Some(root) = root else { return };
        for group in upwards(root, path) {
            for name in ["memory.max", "memory.high"] {
                let place = format!("{group}/{name}");
                self.bound_memory(number(tree, &place), place);
            }
            let place = format!("{group}/cpu.max");
            let cpu = tree.line(&place).unwrap_or_default();
            if let Some((quota, period)) = cpu.split_once(' ') {
                self.bound_cpu(quota.parse().ok(), period.parse().ok(), place);
            }
            self.bound_threads(tree, &group);
        }
    }

    fn read_version_1(&mut self, tree: &Tree, controllers: &str, path: &str) {
        let has = |name| controllers.split(',').any(|one| one == name);
        for group in upwards(&format!("sys/fs/cgroup/{controllers}"), path) {
            if has("memory") {
                let place = format!("{group}/memory.limit_in_bytes");
                self.bound_memory(number(tree, &place), place);
            }
            if has("cpu") {
                let place = format!("{group}/cpu.cfs_quota_us");
                let period = number(tree, &format!("{group}/cpu.cfs_period_us"));
                self.bound_cpu(number(tree, &place), period, place);
            }
            if has("pids") {
                self.bound_threads(tree, &group);
            }
        }
    }

    fn bound_memory(&mut self, value: Option<u64>, place: String) {
        if let Some(value) = value.filter(|value| *value < NO_BOUND) {
            tighten(&mut self.memory, value, place);
        }
    }

    fn bound_cpu(&mut self, quota_us: Option<u64>, period_us: Option<u64>, place: String) {
        if let (Some(quota_us), Some(period_us)) = (quota_us, period_us.filter(|us| *us > 0)) {
            let value = quota_us.saturating_mul(1_000) / period_us;
            if tighten(&mut self.cpu, value, place) {
                self.cpu_period_us = Some(period_us);
            }
        }
    }

    fn bound_threads(&mut self, tree: &Tree, group: &str) {
        let place = format!("{group}/pids.max");
        if let Some(max) = number(tree, &place) {
            let current = number(tree, &format!("{group}/pids.current")).unwrap_or_default();
            tighten(&mut self.threads, max.saturating_sub(current), place);
        }
    }
}

/// A number that stands alone in a file; `max` and -1 are none.
fn number(tree: &Tree, path: &str) -> Option<u64> {
    tree.line(path)?.parse().ok()
}

/// The folder of a group and of all groups around it.
fn upwards(root: &str, path: &str) -> Vec<String> {
    let mut groups = Vec::new();
    let mut path = path.trim_matches('/');
    loop {
        groups.push(format!("{root}/{path}").trim_end_matches('/').to_owned());
        if path.is_empty() {
            return groups;
        }
        path = path.rsplit_once('/').map_or("", |(around, _)| around);
    }
}

/// Keeps the tighter of two bounds; whether it is the new one.
fn tighten(bound: &mut Option<Bound>, value: u64, place: String) -> bool {
    let is_tighter = bound.as_ref().is_none_or(|bound| value < bound.value);
    if is_tighter {
        *bound = Some(Bound {
            value,
            place: format!("/{place}"),
        });
    }
    is_tighter
}
