"""Drop-ins of the server's unit that a measurement sets and takes away."""
# A restart in the middle of a measurement waits for no balancer.
QUICK = "[Service]\nEnvironment=TRIDENT_DRAIN_ACCEPT_MS=0 TRIDENT_DRAIN_QUIET_MS=0\n"
# Everything in the unit that systemd makes a filter of.
NO_FILTER = QUICK + "SystemCallFilter=\nSystemCallArchitectures=\nRestrictAddressFamilies=\n" + "".join(
    f"{name}=no\n" for name in (
        "LockPersonality", "MemoryDenyWriteExecute", "PrivateDevices", "ProtectClock", "ProtectHostname", "ProtectKernelLogs",
        "ProtectKernelModules", "ProtectKernelTunables", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"))
