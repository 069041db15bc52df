# Boots systemd as the first process of a system of its own: this machine's files under an overlay, in the network namespace
# that it is started in. ROOM is the folder for the overlay, NAME that of its control group.
set -eu

if [ "${1-}" != inside ]; then
    # Whatever shape this machine's control groups have, the second version is there to be mounted.
    mkdir -p "$ROOM/groups"
    mount -t cgroup2 none "$ROOM/groups"
    mkdir -p "$ROOM/groups/$NAME"
    echo $$ >"$ROOM/groups/$NAME/cgroup.procs"
    exec unshare --mount --pid --cgroup --uts --ipc --fork --kill-child --propagation private sh "$0" inside
fi

root="$ROOM/root"
mkdir -p "$root" "$ROOM/memory"
mount -t tmpfs none "$ROOM/memory"
mkdir "$ROOM/memory/upper" "$ROOM/memory/work"
mount -t overlay none -o "lowerdir=/,upperdir=$ROOM/memory/upper,workdir=$ROOM/memory/work" "$root"
cp "$PACKAGE" "$root/red-packet.deb"

mount -t proc none "$root/proc"
mount -t sysfs none "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs none "$root/run"
mount -t tmpfs none "$root/tmp"
mount -t tmpfs none "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts none "$root/dev/pts" -o newinstance,ptmxmode=0666
for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
    set -- $node
    mknod -m 666 "$root/dev/$1" c "$2" "$3"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# Images of containers leave out what people read; a package is looked at as a whole.
rm -f "$root"/etc/dpkg/dpkg.cfg.d/*

# Nothing of this machine starts there, and nothing there changes what all systems of a kernel share.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires
: >"$root/etc/fstab"
for unit in systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-sysctl.service systemd-modules-load.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-journald-audit.socket systemd-random-seed.service systemd-remount-fs.service systemd-update-utmp.service \
    systemd-timesyncd.service systemd-networkd-wait-online.service networking.service dev-hugepages.mount \
    dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
    sys-fs-fuse-connections.mount systemd-firstboot.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

cd "$root"
mkdir -p lab-old
pivot_root . lab-old
umount -l /lab-old
rmdir /lab-old
exec env -i container=lab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=sysinit.target --show-status=no --log-target=null
