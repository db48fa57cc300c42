"""paramiko: runs a command over SSH."""

import sys

import paramiko

with paramiko.SSHClient() as client:
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(
        sys.argv[1], int(sys.argv[2]), "user", "secret", timeout=30, look_for_keys=False, allow_agent=False
    )
    _, stdout, _ = client.exec_command("hello")
    print(stdout.read().decode().strip())
