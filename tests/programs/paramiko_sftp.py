"""paramiko: a command, and a file there and back by SFTP."""

import io
import sys

import paramiko

with paramiko.SSHClient() as client:
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(
        sys.argv[1], int(sys.argv[2]), "user", "secret", timeout=30, look_for_keys=False, allow_agent=False
    )
    _, stdout, _ = client.exec_command("echo hello from the shell")
    print(stdout.read().decode().strip())
    with client.open_sftp() as sftp:
        sftp.putfo(io.BytesIO(b"x" * 100_000), "paramiko")
        back = io.BytesIO()
        sftp.getfo("paramiko", back)
        sftp.remove("paramiko")
    print(len(back.getvalue()), "bytes back")
