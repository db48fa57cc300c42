"""pyarrow, whose S3 is the AWS SDK for C++: a file written to S3 and read."""

import sys

from pyarrow import fs

login = {"access_key": "key", "secret_key": "secret", "region": "us-east-1"}
place = f"{sys.argv[1]}:{sys.argv[2]}"
store = fs.S3FileSystem(endpoint_override=place, scheme="http", allow_bucket_creation=True, **login)
store.create_dir("words")
with store.open_output_stream("words/greeting") as stream:
    stream.write(b"hello")
with store.open_input_stream("words/greeting") as stream:
    print(stream.read())
