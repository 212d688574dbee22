"""A small object store that speaks as much of S3 as PyArrow needs, and remembers what was asked of it.

Objects appear when they are complete: with a PUT, or when an upload in parts is completed.
"""
import collections
import http.server
import io
import re
import threading
import urllib.parse
from xml.sax.saxutils import escape


class ObjectStore:
    """Listens on a free port of loopback until `stop`. Credentials are not looked at."""

    def __init__(self):
        self.objects, self.uploads, self.lock = {}, {}, threading.Lock()
        # How often each object appeared, and how many were made by a copy in the store.
        self.appeared, self.copies = collections.Counter(), 0
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                store.get(self)

            def do_HEAD(self):
                store.get(self)

            def do_PUT(self):
                store.put(self)

            def do_POST(self):
                store.post(self)

            def do_DELETE(self):
                store.delete(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"s3://{path}?endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def asked(request):
        """The object and the query."""
        url = urllib.parse.urlsplit(request.path)
        return urllib.parse.unquote(url.path).strip("/"), dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))

    @staticmethod
    def chunks(source):
        """The content of chunks that each have their length in front, up to the empty one and the lines after it."""
        whole = bytearray()
        while length := int(source.readline().split(b";")[0], 16):
            whole += source.read(length)
            source.readline()
        while source.readline().strip():
            pass
        return bytes(whole)

    @classmethod
    def body(cls, request):
        if request.headers.get("Transfer-Encoding") == "chunked":
            data = cls.chunks(request.rfile)
        else:
            data = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        signed = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING")
        return cls.chunks(io.BytesIO(data)) if signed or "aws-chunked" in request.headers.get("Content-Encoding", "") else data

    @staticmethod
    def answer(request, code, body=b"", headers=()):
        request.send_response(code)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def xml(self, request, text):
        self.answer(request, 200, f'<?xml version="1.0"?>{text}'.encode(), [("Content-Type", "application/xml")])

    def appear(self, name, data):
        with self.lock:
            self.objects[name] = data
            self.appeared[name] += 1

    def get(self, request):
        name, query = self.asked(request)
        if "list-type" in query:
            prefix = f"{name}/{query.get('prefix', '')}"
            with self.lock:
                found = [(key, len(data)) for key, data in sorted(self.objects.items()) if key.startswith(prefix)]
            entries = "".join(f"<Contents><Key>{escape(key.split('/', 1)[1])}</Key><Size>{size}</Size>"
                              "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>" for key, size in found)
            return self.xml(request, f"<ListBucketResult><KeyCount>{len(found)}</KeyCount>"
                                     f"<IsTruncated>false</IsTruncated>{entries}</ListBucketResult>")
        with self.lock:
            data = self.objects.get(name)
        if data is None and "/" in name:
            return self.answer(request, 404)
        data, code, headers = data or b"", 200, []
        span = request.headers.get("Range", "")
        if span.startswith("bytes="):
            first, last = span[len("bytes="):].split("-")
            headers.append(("Content-Range", f"bytes {first}-{last}/{len(data)}"))
            data, code = data[int(first):int(last or len(data)) + 1], 206
        self.answer(request, code, data, [*headers, ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")])

    def put(self, request):
        name, query = self.asked(request)
        data = self.body(request)
        self.copies += "x-amz-copy-source" in request.headers
        if "uploadId" in query:
            with self.lock:
                self.uploads[query["uploadId"]][int(query["partNumber"])] = data
        else:
            self.appear(name, data)
        self.answer(request, 200, headers=[("ETag", '"0"')])

    def post(self, request):
        name, query = self.asked(request)
        body = self.body(request)
        if "delete" in query:
            with self.lock:
                for key in re.findall("<Key>(.*?)</Key>", body.decode()):
                    self.objects.pop(f"{name}/{key}", None)
            return self.xml(request, "<DeleteResult></DeleteResult>")
        if "uploads" in query:
            with self.lock:
                number = str(len(self.uploads))
                self.uploads[number] = {}
            return self.xml(request, f"<InitiateMultipartUploadResult><UploadId>{number}</UploadId>"
                                     "</InitiateMultipartUploadResult>")
        with self.lock:
            parts = self.uploads[query["uploadId"]]
        self.appear(name, b"".join(parts[number] for number in sorted(parts)))
        self.xml(request, '<CompleteMultipartUploadResult><ETag>"0"</ETag></CompleteMultipartUploadResult>')

    def delete(self, request):
        name, _ = self.asked(request)
        with self.lock:
            self.objects.pop(name, None)
        self.answer(request, 204)
