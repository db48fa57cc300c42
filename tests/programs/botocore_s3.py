"""botocore: a bucket, an object there and back, a listing; ten requests by threads."""

import sys
from concurrent.futures import ThreadPoolExecutor

import botocore.session

key = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
url = f"http://{sys.argv[1]}:{sys.argv[2]}"
client = botocore.session.get_session().create_client("s3", "us-east-1", endpoint_url=url, **key)
client.create_bucket(Bucket="words")
with ThreadPoolExecutor(5) as pool:
    list(pool.map(lambda name: client.put_object(Bucket="words", Key=name, Body=b"hello"), "abcdefghij"))
print([entry["Key"] for entry in client.list_objects_v2(Bucket="words")["Contents"]])
print(client.get_object(Bucket="words", Key="a")["Body"].read())
