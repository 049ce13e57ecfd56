"""The third way in: configuration files of Vault Agent, in HCL or JSON, as they are.

::

    files     paths and directories -> texts, as `-config` names them
    hcl, json_text                  -> a tree: blocks, keys and values, each with its line
    stanzas   the tree read by the keys there are (`schema`): unknown keys, types, duplicates
    merging   several files become one
    verdicts  what has no effect here, what is not supported
    rules     what Vault Agent itself refuses, in its words
    mapping   -> a draft of our settings

`schema` is the one place that says what becomes of every key; the table of
`docs/migrating-from-vault-agent.md` is made from it.
"""
