"""`penstock key`: the public key, for those who shall trust what is signed here."""

from typing import Annotated

import typer


def key(
    as_json: Annotated[bool, typer.Option("--json", help="Print id and key as JSON.")] = False,
) -> None:
    """Print the public key of what is signed here.

    Reports, models and the registry are signed with its private half.

    Whoever puts it into a folder named by PENSTOCK_TRUSTED_KEYS trusts what is signed here.
    """
    from pipelines.cli.console import print_json
    from resources.settings import load_settings
    from resources.signing import load_signer, public_pem

    path = load_settings().key
    signer = load_signer(path)
    pem = public_pem(path)
    if as_json:
        print_json({"key_id": signer.key_id, "public_key": pem})
    else:
        print(pem, end="")
