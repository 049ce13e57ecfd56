-- The tutorial's database, as leasekeeper.devstack.product_setup makes it (a test compares them).
CREATE TABLE coffees (
  id integer PRIMARY KEY, name text NOT NULL, teaser text NOT NULL, description text NOT NULL,
  price integer NOT NULL, image text NOT NULL
);
CREATE TABLE coffee_ingredients (
  coffee_id integer REFERENCES coffees (id), ingredient_id integer NOT NULL,
  PRIMARY KEY (coffee_id, ingredient_id)
);

INSERT INTO coffees VALUES
  (1, 'HashiCup', 'Automation in a cup', '', 200, '/hashicorp.png'),
  (2, 'Packer Spiced Latte', 'Packed with goodness to spice up your images', '', 350, '/packer.png'),
  (3, 'Vaulatte', 'Nothing gives you a safe and secure feeling like a Vaulatte', '', 200, '/vault.png'),
  (4, 'Nomadicano', 'Drink one today and you will want to schedule another', '', 150, '/nomad.png'),
  (5, 'Terraspresso', 'Nothing kickstarts your day like a provision of Terraspresso', '', 150, '/terraform.png'),
  (6, 'Vagrante espresso', 'Stdin is not a tty', '', 200, '/vagrant.png');
INSERT INTO coffee_ingredients VALUES
  (1, 6), (2, 1), (2, 2), (2, 4), (3, 1), (3, 2), (4, 1), (4, 3), (5, 1), (6, 1);
