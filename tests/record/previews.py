"""A plugin whose asset kinds show what their assets hold, or fail to."""

KINDS = """
    from molexp import AssetKind, hookimpl
    from molexp.contracts import NoFields, Preview

    class Plain(AssetKind[str, NoFields]):
        name = "plain"
        def save(self, obj, sink):
            sink.write(obj.encode())
            return NoFields()
        def load(self, source):
            with source.open() as stream:
                return stream.read().decode()

    class Note(Plain):
        name = "note"
        def preview(self, source):
            text = self.load(source)
            return Preview(text=f"it begins: {text[:5]}", html=f"<b>{text}</b>")

    class Plot(Plain):
        name = "plot"
        def preview(self, source):
            return Preview(png=b"\\x89PNG\\r\\n\\x1a\\n" + b", pixels" * 1000)

    class Bad(Plain):
        name = "bad"
        def preview(self, source):
            return Preview(text=str(1 / 0))

    class Other(Plain):
        name = "other"
        def preview(self, source):
            return self.load(source)

    class Odd(Plain):
        name = "odd"
        def preview(self, source):
            return Preview(png=b"GIF89a")

    @hookimpl
    def molexp_register_asset_kinds():
        return [Plain, Note, Plot, Bad, Other, Odd]
"""
