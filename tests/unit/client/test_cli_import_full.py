"""Full imports and dry runs by the command line: products that are deleted, and products that never
are.
"""

from tests.unit.client.command_line import flat
from tests.unit.client.import_shop import Shop, shop

__all__ = ["shop"]  # fixtures


def test_full_shows_what_goes_then_deletes_it(shop: Shop) -> None:
    shop.write("w1,One,", "w2,Two,", "w3,Three,")
    assert shop.run("--mode", "full").exit_code == 0
    shop.write("w1,One,", "w2,Two,")
    shop.gateway.job_states[-1].kind = "close_import"
    result = shop.run("--mode", "full")
    assert result.exit_code == 0, result.output
    assert "To be deleted, as missing from the file: 1 product, e.g. w3" in flat(result.stderr)
    assert "1 product deleted" in flat(result.stdout)
    assert set(shop.gateway.products) == {"w1", "w2"}


def test_full_refuses_beyond_the_share_without_force_and_goes_on_with_it(shop: Shop) -> None:
    shop.write(*(f"w{n},Wine," for n in range(10)))
    shop.run()
    shop.write("w1,One,")
    result = shop.run("--mode", "full")
    assert result.exit_code == 1
    assert "IMPORT_DELETES_TOO_MUCH" in result.stderr
    assert "--force" in result.stderr
    assert len(shop.gateway.products) == 10
    assert shop.run("--mode", "full", "--force").exit_code == 0
    assert set(shop.gateway.products) == {"w1"}


def test_full_deletes_nothing_after_a_rejected_row_unless_told_and_never_its_product(
    shop: Shop,
) -> None:
    shop.write("w1,One,", "w2,Two,", "w3,Three,")
    shop.run()
    shop.write("w1,One,", "w2,Two,none.jpg")
    result = shop.run("--mode", "full")
    assert result.exit_code == 1, "a row was refused"
    assert "again with --despite-rejected" in flat(result.stderr)
    assert len(shop.gateway.products) == 3
    assert shop.run("--mode", "full", "--despite-rejected").exit_code == 1
    assert set(shop.gateway.products) == {"w1", "w2"}


def test_lines_that_a_quote_joined_delete_nothing_of_what_they_may_speak_of(shop: Shop) -> None:
    shop.write("w1,One,", "w2,Two,", "w3,Three,")
    shop.run()
    shop.write("w1,One,", 'w2,"Two', "w3 Three")
    result = shop.run("--mode", "full", "--despite-rejected")
    assert "lines 3 to 4" in flat(result.stderr)
    assert "again with --force" in flat(result.stderr)
    assert len(shop.gateway.products) == 3


def test_full_deletes_nothing_while_a_row_has_no_id_that_can_be_read(shop: Shop) -> None:
    shop.write("w1,One,", "w2,Two,", "w3,Three,")
    shop.run()
    shop.write("w1,One,", "w2,Two,", ",Three,")
    result = shop.run("--mode", "full")
    assert result.exit_code == 1
    assert "Nothing is deleted: 1 row was rejected, of which 1 has no readable id" in flat(
        result.stderr
    )
    assert len(shop.gateway.products) == 3
    shop.run("--mode", "full", "--force")
    assert set(shop.gateway.products) == {"w1", "w2"}


def test_a_part_of_a_catalog_is_never_imported_as_the_whole(shop: Shop) -> None:
    (shop.folder / "wines.rejected.csv").write_text("id,title\n1,a\n")
    result = shop.run("--mode", "full", file="wines.rejected.csv")
    assert result.exit_code == 2
    assert not shop.gateway.requests


def test_a_dry_run_writes_nothing_and_says_what_full_would_delete(shop: Shop) -> None:
    shop.write("w1,One,", "w2,Two,")
    shop.run()
    shop.gateway.requests.clear()
    shop.write("w1,One,", "w3,Three,none.jpg")
    result = shop.run("--mode", "full", "--dry-run")
    assert result.exit_code == 1
    assert "Row 2 (w3): PHOTO_MISSING" in flat(result.stderr)
    assert "To be deleted, as missing from the file: 1 product, e.g. w2" in flat(result.stderr)
    assert set(shop.gateway.requests) == {"GetStatus", "ListProducts"}
    assert shop.rejected()[0]["id"] == "w3"
