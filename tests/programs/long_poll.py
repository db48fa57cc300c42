"""Waits for news over HTTP, as clients of chat services do: each answer is held back until there is some."""

import sys

import requests

url = f"http://{sys.argv[1]}:{sys.argv[2]}/botsecret/getUpdates"
offset = 0
with requests.Session() as session:
    while offset < 3:
        for update in session.get(url, params={"offset": offset, "timeout": 20}, timeout=30).json()["result"]:
            print(update["message"]["text"])
            offset = update["update_id"] + 1
