//! The interrupts of a card's receive queues, by name, and the commands that put each on a worker's CPU.
//!
//! Drivers agree on no names: `eth0-TxRx-3`, `eth0-Tx-Rx-3`, `virtio2-input.0`, `mlx5_comp3@pci:0000:03:00.0`. What is common is
//! that the interface or its device is named, and that the last number besides is the queue's; an interrupt without a number is
//! the queue's only where there is no other. A veth has no interrupt.

use rp_net::sysfs::Sysfs;

/// Words of interrupts that a card has besides.
const NO_RECEIVE_QUEUE: [&str; 9] = ["config", "async", "output", "-tx-", "event", "mgmt", "mgmnt", "ctrl", "misc"];

/// An interrupt and the receive queue that it is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Interrupt {
    /// The queue.
    pub queue: u32,
    /// The interrupt's number.
    pub number: u32,
}

/// Those of an interface's receive queues, by queue; none where nothing can be told.
pub fn of(interface: &str) -> Vec<Interrupt> {
    let Ok(table) = std::fs::read_to_string("/proc/interrupts") else { return Vec::new() };
    let device = Sysfs::of_this_namespace()
        .and_then(|sysfs| std::fs::read_link(sysfs.of_interface(interface, "device")))
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    find(&table, interface, device.as_deref())
}

/// The commands, joined; queue `q` belongs to worker `q` modulo workers.
pub fn pinning(interrupts: &[Interrupt], worker_cpus: &[u32]) -> String {
    let pin = |interrupt: &Interrupt| {
        let cpu = worker_cpus[interrupt.queue as usize % worker_cpus.len()];
        format!("echo {cpu} > /proc/irq/{}/smp_affinity_list", interrupt.number)
    };
    interrupts.iter().map(pin).collect::<Vec<_>>().join("; ")
}

/// Those that the kernel handles on another CPU than their worker's; `None` where it does not say of one.
pub fn elsewhere(interrupts: &[Interrupt], worker_cpus: &[u32]) -> Option<Vec<Interrupt>> {
    let cpus_of = |interrupt: &Interrupt| {
        std::fs::read_to_string(format!("/proc/irq/{}/effective_affinity_list", interrupt.number)).unwrap_or_default()
    };
    apart(interrupts, worker_cpus, cpus_of)
}

fn apart(
    interrupts: &[Interrupt],
    worker_cpus: &[u32],
    cpus_of: impl Fn(&Interrupt) -> String,
) -> Option<Vec<Interrupt>> {
    let mut apart = Vec::new();
    for interrupt in interrupts {
        let cpus = cpus_of(interrupt);
        let cpu = worker_cpus[interrupt.queue as usize % worker_cpus.len()];
        match cpus.trim() {
            "" => return None,
            cpus if cpus != cpu.to_string() => apart.push(*interrupt),
            _ => {}
        }
    }
    Some(apart)
}

fn find(table: &str, interface: &str, device: Option<&str>) -> Vec<Interrupt> {
    let named: Vec<_> = table.lines().filter_map(|line| read(line, interface, device)).collect();
    let numbered = |&(queue, number): &(Option<u32>, u32)| Some(Interrupt { queue: queue?, number });
    let mut found: Vec<Interrupt> = named.iter().filter_map(numbered).collect();
    if let ([], [(_, number)]) = (found.as_slice(), named.as_slice()) {
        found.push(Interrupt { queue: 0, number: *number });
    }
    found.sort_unstable();
    found.dedup_by_key(|interrupt| interrupt.queue);
    found
}

/// The queue, where one is numbered, and the interrupt.
fn read(line: &str, interface: &str, device: Option<&str>) -> Option<(Option<u32>, u32)> {
    let (number, rest) = line.split_once(':')?;
    let number = number.trim().parse().ok()?;
    let name = rest.split_whitespace().next_back()?;
    let owner = [Some(interface), device].into_iter().flatten().find(|owner| names(name, owner))?;
    let role = name.replacen(owner, "", 1).to_lowercase().replace("tx-rx", "txrx");
    if NO_RECEIVE_QUEUE.iter().any(|word| role.contains(word)) {
        return None;
    }
    let digits = role.split(|c: char| !c.is_ascii_digit()).rfind(|digits| !digits.is_empty());
    Some((digits.map(str::parse).transpose().ok()?, number))
}

/// Does `owner` stand in `name` as a whole word: `eth1` does not in `eth10-TxRx-0`?
fn names(name: &str, owner: &str) -> bool {
    let is_apart = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.match_indices(owner)
        .any(|(at, _)| is_apart(name[..at].chars().next_back()) && is_apart(name[at + owner.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "           CPU0       CPU1
 24:          1          0  IO-APIC   5-edge      ACPI:Ged
 37:          0          0 PCI-MSIX-0000:00:03.0   0-edge      virtio2-config
 38:          0      54408 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0
 39:      36417          0 PCI-MSIX-0000:00:03.0   2-edge      virtio2-output.0
 51:          9          0 IR-PCI-MSI 1572865-edge      eth1-TxRx-1
 50:          9          0 IR-PCI-MSI 1572864-edge      eth1-TxRx-0
 52:          9          0 IR-PCI-MSI 1572866-edge      eth10-TxRx-0
 60:          9          0 IR-PCI-MSI 1572866-edge      mlx5_async0@pci:0000:03:00.0
 61:          9          0 IR-PCI-MSI 1572866-edge      mlx5_comp0@pci:0000:03:00.0
 62:          9          0 IR-PCI-MSI 1572866-edge      mlx5_comp1@pci:0000:03:00.0
 70:          9          0 IR-PCI-MSI 1572866-edge      eth3
 80:          9          0 PCI-MSIX-0000:00:05.0   0-edge      ena-mgmnt@pci:0000:00:05.0
 81:          9          0 PCI-MSIX-0000:00:05.0   1-edge      eth4-Tx-Rx-0
 82:          9          0 PCI-MSIX-0000:00:05.0   2-edge      eth4-Tx-Rx-1
 90:          9          0 IR-PCI-MSI 1572866-edge      eth5
 91:          9          0 IR-PCI-MSI 1572866-edge      eth5-TxRx-0
 95:          9          0 IR-PCI-MSI 1572866-edge      i40e-0000:06:00.0:misc
 96:          9          0 IR-PCI-MSI 1572866-edge      i40e-eth6-TxRx-0
NMI:          0          0   Non-maskable interrupts
";

    #[test]
    fn the_receive_queues_of_a_card_are_found_by_its_names() {
        let check = |interface, device, rows: &[(u32, u32)]| {
            let found: Vec<_> =
                find(TABLE, interface, device).iter().map(|found| (found.queue, found.number)).collect();
            assert_eq!(found, rows, "{interface}");
        };
        check("eth0", Some("virtio2"), &[(0, 38)]);
        check("eth1", Some("0000:02:00.0"), &[(0, 50), (1, 51)]);
        check("eth2", Some("0000:03:00.0"), &[(0, 61), (1, 62)]);
        check("eth3", None, &[(0, 70)]);
        check("eth4", Some("0000:00:05.0"), &[(0, 81), (1, 82)]);
        check("eth5", Some("0000:05:00.0"), &[(0, 91)]);
        check("eth6", Some("0000:06:00.0"), &[(0, 96)]);
        check("veth0", None, &[]);
    }

    #[test]
    fn each_queue_is_pinned_to_its_workers_cpu() {
        let interrupts = find(TABLE, "eth1", None);
        let commands = pinning(&interrupts, &[3]);
        assert_eq!(commands, "echo 3 > /proc/irq/50/smp_affinity_list; echo 3 > /proc/irq/51/smp_affinity_list");
        assert!(pinning(&interrupts, &[3, 4]).ends_with("echo 4 > /proc/irq/51/smp_affinity_list"));
        assert_eq!(pinning(&[], &[3, 4]), "");
    }

    #[test]
    fn interrupts_on_other_cpus_than_their_workers_are_told() {
        let all = [0, 1, 2, 3].map(|queue| Interrupt { queue, number: 40 + queue });
        let cpus = |interrupt: &Interrupt| ["2\n", "2\n", "2-3\n", ""][interrupt.queue as usize].to_owned();
        assert_eq!(apart(&all[..3], &[2, 3], cpus), Some(vec![all[1], all[2]]));
        assert_eq!(apart(&all, &[2, 3], cpus), None, "the kernel does not say where the last is");
    }
}
