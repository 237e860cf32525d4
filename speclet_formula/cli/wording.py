"""A message that speaks to Python goes in; the command line's words stand in their place as it comes out.

Arguments become options, and advice to write Python becomes what can be typed or done to the file.
"""

import re

OPTIONS = {
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            "family", "link", "priors", "weights", "missing", "draws", "tune", "chains", "cores", "target_accept",
            "sampler", "method", "normalise", "pseudo_count", "duplicates", "drop", "direction", "controls", "folder",
            "fitted",
        )
    },
    "random_seed": "--seed",
    "n_sims": "--sims",
}  # fmt: skip
# What Python is told to write, and what is typed in a shell, or done to the file, instead.
_REMEDIES = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"Mend them where they were written, or write data\[\"(.+?)\"\] = pandas\.to_numeric\(.*\)"
         r"(?:, which makes the others missing)?\.", "Mend them in the file."),
        (r"with white space: data = data\.rename\(columns=str\.strip\)", "with white space: take it off in the file"),
        (r"For another order cast it to polars\.Enum\(.*?\), the reference first", "For another order write --levels"),
        (r"where each is a level, write data\['(.+?)'\] = .*?\.astype\(str\)", "where each is a level, to text"),
        (r"data\['(.+?)'\] = pandas\.Categorical\(data\['.+?'\], categories=\[\.\.\.\], ordered=True\)",
         r"--levels \1=..., the lowest level first"),
        (r": pandas\.cut\(data\['.+?'\], bins\)", ", in the file"),
        (r"Write data\['(.+?)'\] = data\['.+?'\]\.cat\.remove_unused_categories\(\)", r"Write --levels \1=..."),
        (r"pandas\.Categorical\(column, categories=\['control', \.\.\.\]\)", "--levels COLUMN=control,..."),
        (r"Make the column before the fit: data\['new'\] = .*?\)\.(?=\n|$)", "Make the column in the file."),
        (r", or by a function of your own in functions=", ""),
        (r"Read the column as such, for example pandas\.read_csv\(.*?\)\.",
         "Write the column in the file with a letter before each number."),
        (r"Rename or drop one: data\.loc\[.*?\(\)\]", "Rename or drop one in the file"),
        (r"Rename it, or all at once: data\.columns = .*?\(str\)", "Rename it in the file"),
        (r"Names of levels are text: data\['(.+?)'\] = .*?; measurements are \.astype\(float\)",
         r"Make all of the column '\1' in the file text, or all of it numbers"),
        (r"data\['(.+?)'\] = data\['.+?'\]\.astype\(\w+\)", r"make all of the column '\1' in the file alike"),
        (r"Convert it: data\['(.+?)'\] = pandas\.to_numeric\(.*?\]\)", r"Write numbers into the column '\1'"),
        (r"Convert it: data\['(.+?)'\] = data\['.+?'\]\.map\(.*?\)",
         r"Write 'none', 'left' or 'right' into the column '\1' of the file"),
        (r"Convert it first; a lazy frame.*?pieces\.", "Save it as CSV or parquet."),
        (r"priors=\{'([^']+)': \.\.\.\}", r'--priors with a TOML file that has a table ["\1"]'),
        (r"Write, for example, priors=\{.*\}\.", "Write a TOML file, and --priors with its path."),
        (r"before fitting, or pass a function that does it in functions=", "in the file"),
        (r",? or pass your own function in functions=", ", or make the column in the file"),
        (r"(?:P|p)ass your own function in functions=", "Make the column in the file"),
        (r"\bHand controls= to read_screen", "Give --controls"),
        (r"that sf\.save\(fit, path\) wrote", "that `fit --out` wrote"),
        (r"with sf\.simulate, and fit it with the same arguments", "with simulate, and fit it with the same options"),
        (r", as a dictionary by name or as a list\.", "."),
        (r"For example compare\(\{.*\)\.", "For example compare data.csv 'y ~ x + (1 | g)' 'y ~ (1 | g)'."),
        (r"; in a list it is its formula", ", its formula"),
        (r"Name them in a dictionary: compare\(.*\)\.", "Leave one of the two out."),
        (r"; likelihoods are compared by sf\.anova", ""),
        (r"the folder where Python runs", "the folder where the command runs"),
        (r"(method='\w+') or '(\w+)'", r"\1 or \2"),
    )
)  # fmt: skip
# A value in quotes or several, a number or a word, or none: "missing='drop'", "tune=2000", "Leave link= out". A
# dictionary stays.
_NAMES = "|".join(OPTIONS)
_ARGUMENT = re.compile(
    rf"(?<![\w.-])({_NAMES})=(?!=)(?:\(?'([^']*)'(?:,\))?|(-?[\w.]+(?:,\d{{3}})*(?<!\.))|(?=[\s,.;:)]|$))"
)
_SUBJECT = re.compile(rf"^({_NAMES})(?= (?:is|are|lies|takes) )", re.MULTILINE)


def as_options(text: str) -> str:
    """Write arguments as options, and Python's remedies as the shell's.

    Examples
    --------
    >>> as_options("Write missing='drop' to leave these rows out, or link= out.")
    'Write --missing drop to leave these rows out, or --link out.'
    >>> as_options("Rename or drop one: data.loc[:, ~data.columns.duplicated()].")
    'Rename or drop one in the file.'
    """
    for pattern, words in _REMEDIES:
        text = pattern.sub(words, text)
    text = _SUBJECT.sub(lambda found: OPTIONS[found[1]], text)
    return _ARGUMENT.sub(lambda found: " ".join(filter(None, (OPTIONS[found[1]], found[2] or found[3]))), text)
