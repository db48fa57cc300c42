"""minio: a bucket, an object there and back, a listing."""

import io
import sys

from minio import Minio

client = Minio(f"{sys.argv[1]}:{sys.argv[2]}", access_key="key", secret_key="secret", secure=False, region="us-east-1")
client.make_bucket("letters")
print(client.put_object("letters", "a", io.BytesIO(b"hello"), 5).object_name)
answer = client.get_object("letters", "a")
print(answer.read(), [each.object_name for each in client.list_objects("letters")])
answer.close()
answer.release_conn()
