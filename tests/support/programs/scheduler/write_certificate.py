"""Write a certificate that expires in so many days: PATH DAYS."""

import datetime
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway.test")])
until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=int(sys.argv[2]))
builder = x509.CertificateBuilder(name, name, key.public_key(), 1, until - datetime.timedelta(days=90), until)
Path(sys.argv[1]).write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
