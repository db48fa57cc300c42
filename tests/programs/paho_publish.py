"""paho-mqtt: a loop in a thread of its own, a subscription, a message published to it; then thrown out, and back."""

import queue
import sys

import paho.mqtt.client as mqtt

heard = queue.Queue()


def on_connect(client, *_):
    client.subscribe("news", qos=1)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.on_connect = on_connect
client.on_subscribe = lambda client, *_: client.publish("news", "hello", qos=1)
client.on_message = lambda client, userdata, message: heard.put(message.payload)
client.reconnect_delay_set(min_delay=1, max_delay=1)
client.connect(sys.argv[1], int(sys.argv[2]))
client.loop_start()
print(heard.get(timeout=30))
# Somebody else takes its place: the broker ends the connection, and the loop makes another.
client.reconnect()
print(heard.get(timeout=30))
client.disconnect()
client.loop_stop()
