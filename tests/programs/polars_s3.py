"""polars, whose sockets are Rust's (tokio): a table written to S3 and read. The bucket is made by urllib."""

import sys
import urllib.request

import polars

url = f"http://{sys.argv[1]}:{sys.argv[2]}"
urllib.request.urlopen(urllib.request.Request(f"{url}/words", method="PUT"), timeout=10).close()
options = {
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
    "aws_region": "us-east-1",
    "aws_endpoint_url": url,
    "aws_allow_http": "true",
}
place = "s3://words/table.parquet"
polars.DataFrame({"word": ["one", "two"]}).write_parquet(place, storage_options=options)
print(polars.scan_parquet(place, storage_options=options).collect().rows())
